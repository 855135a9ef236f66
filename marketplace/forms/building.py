"""What the metadata of a new image are about: a disk, an address, or a file that was measured."""

import uuid
from typing import Any

from django import forms

from marketplace.actions.drafts import LONGEST_URL, Measured
from registration.forms.base import Form, text
from volumes.models import Volume

_TEXT = {"spellcheck": "false", "autocapitalize": "off"}


class OfDiskForm(Form):
    create_key = forms.UUIDField(widget=forms.HiddenInput)
    disk = forms.ModelChoiceField(
        Volume.objects.none(), label="Disk", to_field_name="uuid", empty_label="Choose a disk",
        error_messages={"required": "Choose a disk.",
                        "invalid_choice": "This disk is not yours, or it is not there."},
    )  # fmt: skip
    is_data = forms.BooleanField(label="It is data: machines read it, and none starts from it",
                                 required=False)  # fmt: skip

    def __init__(self, *args: Any, disks: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["create_key"].initial = uuid.uuid4()
        self.fields["disk"].queryset = disks  # type: ignore[attr-defined]


class OfUrlForm(Form):
    create_key = forms.UUIDField(widget=forms.HiddenInput)
    url = text("Address of the file", "off", LONGEST_URL, missing="Write the address of the file.",
               attrs={"inputmode": "url", "placeholder": "https://", **_TEXT},
               help_text="https:// or http://; packed with gzip, bzip2, xz or zstd, or not. The "
               "portal reads it once to its end, and keeps nothing of it.")  # fmt: skip
    is_data = forms.BooleanField(label="It is data: machines read it, and none starts from it",
                                 required=False)  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["create_key"].initial = uuid.uuid4()


class OfFileForm(Form):
    """Filled in by the page that measures files in the browser."""

    create_key = forms.UUIDField(widget=forms.HiddenInput)
    name = forms.CharField(max_length=255, required=False)
    size_bytes = forms.IntegerField(min_value=1)
    virtual_size_bytes = forms.IntegerField(min_value=1, required=False)
    md5 = forms.CharField(max_length=32, required=False)
    sha1 = forms.CharField(max_length=40)
    sha256 = forms.CharField(max_length=64)
    sha512 = forms.CharField(max_length=128)
    format = forms.CharField(max_length=10)
    compression = forms.CharField(max_length=3, required=False)

    def measured(self) -> Measured:
        told = dict(self.cleaned_data)
        told.pop("create_key")
        return Measured(**told)
