"""What a person fills in for the portal to fetch a file."""

import uuid
from collections.abc import Mapping
from typing import Any

from django import forms

from cloud.types import DiskFormat
from registration.forms.base import Form, text
from volumes import meanings
from volumes.actions import disk_tag
from volumes.actions.beginning import TYPES
from volumes.actions.fetches import LONGEST_URL, Wanted, must_be_fetchable
from volumes.models import LONGEST_TAG, DiskType, Visibility

_PLAIN = {"autocapitalize": "off", "spellcheck": "false"}


#: Whichever of the two the publisher of a file names.
_OF_WHAT = "Of the file as it is, or, if it is packed, of what is in it."


class FetchForm(Form):
    """``wanted()`` is what it asks for, once it is valid."""

    RULES = {"url": must_be_fetchable, "tag": disk_tag}

    create_key = forms.UUIDField(widget=forms.HiddenInput)
    url = text(
        "Address of the file",
        "off",
        LONGEST_URL,
        attrs={**_PLAIN, "inputmode": "url", "placeholder": "https://example.org/data.iso.gz"},
        help_text="A public link that needs no password. What a disk can be made of: raw, qcow2, "
        "VDI, VMDK, VHD, VHDX and ISO files; raw ones also packed with gzip, bzip2, xz or zstd.",
        missing="Write the address of the file.",
    )
    tag = text(
        "Tag", "off", LONGEST_TAG, required=False,
        help_text="What you call it. Left blank: the name of the file.",
    )  # fmt: skip
    type = forms.ChoiceField(
        label="What it is",
        choices=[(kind, f"{DiskType(kind).label}: {meanings.TYPES[kind]}") for kind in TYPES],
        widget=forms.RadioSelect,
    )
    visibility = forms.ChoiceField(
        label="Visibility",
        choices=[
            (Visibility.PRIVATE, "Private: nobody else sees it, unless you share it."),
            (Visibility.PUBLIC, "Public: everybody on this site can attach it read-only."),
        ],
        widget=forms.RadioSelect,
    )
    is_raw = forms.BooleanField(
        label="Treat it as a raw disk, whatever it looks like",
        required=False,
    )
    expected_bytes = forms.IntegerField(
        label="Size, in bytes",
        required=False,
        min_value=1,
        widget=forms.NumberInput(attrs={"inputmode": "numeric", "step": 1}),
        help_text=f"{_OF_WHAT} Another size is refused.",
    )
    sha1 = text("SHA-1", "off", 40, required=False, attrs=_PLAIN,
                help_text=_OF_WHAT)  # fmt: skip
    sha256 = text("SHA-256", "off", 64, required=False, attrs=_PLAIN,
                  help_text=_OF_WHAT)  # fmt: skip

    def __init__(self, *args: Any, again: Mapping[str, Any], **kwargs: Any) -> None:
        """``again``: what it is filled in with, of one that failed."""
        super().__init__(*args, **kwargs)
        self.initial = {
            "create_key": uuid.uuid4(),
            "type": DiskType.DATA_IMAGE_RAW_READ_WRITE,
            "visibility": Visibility.PRIVATE,
            **again,
        }

    def wanted(self) -> Wanted:
        told = dict(self.cleaned_data)
        return Wanted(format=DiskFormat.RAW if told.pop("is_raw") else "", **told)
