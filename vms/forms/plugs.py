"""What a person fills in to give disks to machines, and to take them back."""

import uuid

from django import forms

from vms.forms.lists import UuidsField

WRITE, READ = "write", "read"
MODES = [(WRITE, "Read and write"), (READ, "Read only")]


class PickMachineForm(forms.Form):
    """One machine for a disk."""

    mode = forms.ChoiceField(
        label="For what", choices=MODES, error_messages={"required": "Choose what for."}
    )
    vm = forms.UUIDField(label="Machine", error_messages={"required": "Choose a machine."})


class PickDisksForm(forms.Form):
    """Some disks for a machine; each has a field ``mode-<uuid>`` of its own."""

    disk = UuidsField(
        label="Disks", coerce=uuid.UUID, error_messages={"required": "Choose one disk or more."}
    )
    all_read_only = forms.BooleanField(label="All of them read-only", required=False)

    def is_read_only(self, key: uuid.UUID) -> bool:
        """Whether this disk was chosen to be read only; without a word of it, not."""
        return bool(self.cleaned_data["all_read_only"]) or self.data.get(f"mode-{key}") == READ


class PickPlugsForm(forms.Form):
    """Attachments that are to end."""

    plug = UuidsField(coerce=uuid.UUID)
    force = forms.BooleanField(required=False)
