"""What is chosen about a file to download."""

from typing import Any

from django import forms

from registration.forms.base import Form
from volumes.models import ExportFormat, Snapshot

#: What each is good for.
MEANINGS = {
    ExportFormat.GZIP: "raw, gzip: packed; every system can unpack it (gunzip, 7-Zip).",
    ExportFormat.ZSTD: "raw, zstd: packed; smaller and several times faster (unzstd).",
    ExportFormat.QCOW2: "qcow2: for QEMU, OpenStack and OpenNebula; empty parts take no room.",
    ExportFormat.RAW: "raw: byte for byte as a machine sees it, and as large as the disk.",
}


class DownloadForm(Form):
    format = forms.ChoiceField(
        label="Format",
        choices=[(kind.value, words) for kind, words in MEANINGS.items()],
        initial=ExportFormat.GZIP,
        widget=forms.RadioSelect,
    )
    snapshot = forms.ModelChoiceField(
        Snapshot.objects.none(),
        label="Download it as",
        required=False,
        to_field_name="uuid",
        empty_label="it is now",
    )

    def __init__(
        self, *args: Any, snapshots: Any, chosen: str = "", is_written: bool = False, **kwargs: Any
    ) -> None:
        """``snapshots``: that may be chosen. ``is_written``: one of them must be."""
        super().__init__(*args, initial={"snapshot": chosen}, **kwargs)
        field: Any = self.fields["snapshot"]
        field.queryset = snapshots
        if is_written:
            field.required, field.empty_label = True, None
        elif not snapshots:
            del self.fields["snapshot"]
