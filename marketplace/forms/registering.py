"""Several disks that are to become images: what is said of each, and of all."""

from collections.abc import Mapping
from datetime import UTC, datetime, time
from typing import Any

from django import forms
from django.utils import timezone

from cloud.types import DiskBus
from core.errors import Refused
from marketplace.actions.endorsing import SIX_MONTHS, end_of_validity
from marketplace.composing import Said, usual_publisher
from marketplace.states import Kind
from registration.forms.base import Form
from volumes.models import Volume


class AllForm(Form):
    """What is the same for all."""

    description = forms.CharField(
        label="Description", required=False, max_length=10_000,
        widget=forms.Textarea(attrs={"rows": 3}),
    )  # fmt: skip
    creator = forms.CharField(label="Author", required=False, max_length=120)
    publisher = forms.CharField(label="Publisher", required=False, max_length=120)
    default_user = forms.RegexField(
        r"^[a-z_][a-z0-9_-]{0,31}$", label="User to sign in as", initial="root",
        help_text="root, debian, ubuntu …",
    )  # fmt: skip
    valid = forms.DateField(
        label="Valid until", widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["valid"].initial = (timezone.now() + SIX_MONTHS).date()
        self.fields["publisher"].initial = usual_publisher()

    def clean_valid(self) -> datetime:
        until = datetime.combine(self.cleaned_data["valid"], time(23, 59, 59), UTC)
        try:
            return end_of_validity(until)
        except Refused as refused:
            raise forms.ValidationError(str(refused), code=refused.code) from None


class RowForm(Form):
    """What is said of one disk; ``create_key`` makes it one image however often it is sent."""

    create_key = forms.UUIDField(widget=forms.HiddenInput)
    title = forms.CharField(max_length=200)
    version = forms.CharField(max_length=60, initial="1.0")
    os = forms.CharField(label="System", max_length=60, required=False)
    os_version = forms.CharField(label="Its version", max_length=60, required=False)
    os_arch = forms.CharField(label="Architecture", max_length=30, initial="x86_64")

    def __init__(self, *args: Any, volume: Volume, **kwargs: Any) -> None:
        super().__init__(*args, prefix=volume.token[:8], **kwargs)
        self.volume = volume
        for name, field in self.fields.items():
            field.widget.attrs |= {
                "class": "form-control form-control-sm",
                "aria-label": f"{field.label or name.capitalize()} of {volume}",
            }

    def answers(self, common: Mapping[str, Any]) -> dict[str, Any]:
        """As the form of a draft holds them, which asks itself until when the image is good."""
        names = ("title", "version", "os", "os_version", "os_arch")
        shared = ("description", "creator", "publisher", "default_user")
        found = {name: self.cleaned_data[name] for name in names}
        found |= {name: common[name] for name in shared}
        return {**found, "kind": Kind.MACHINE.value}

    def said(self, common: Mapping[str, Any]) -> Said:
        """Of forms that are valid."""
        return Said(
            **{**self.answers(common), "kind": Kind.MACHINE},
            valid=common["valid"],
            hypervisor="kvm",
            disks_bus=DiskBus.VIRTIO.value,
            inbound_ports=(22,),
        )
