"""What a person fills in for a new disk, and to be rid of one."""

import uuid
from collections.abc import Sequence
from typing import Any

from django import forms

from registration.forms.base import Form
from volumes.actions import disk_tag
from volumes.models import LARGEST_GIB, LONGEST_TAG, SMALLEST_GIB, Visibility, Volume

#: StratusLab's words.
BAD_SIZE = f"Size must be an integer between {SMALLEST_GIB} and {LARGEST_GIB}, in GiB."
#: Without a tag, the beginning of its UUID is typed.
TYPED_OF_UUID = 8


class CreateForm(Form):
    """A new empty disk. Valid as it comes."""

    RULES = {"tag": disk_tag}

    create_key = forms.UUIDField(widget=forms.HiddenInput)
    size_gib = forms.IntegerField(
        label="Size (GiB)",
        min_value=SMALLEST_GIB,
        max_value=LARGEST_GIB,
        widget=forms.NumberInput(attrs={"inputmode": "numeric", "step": 1}),
        help_text=f"{SMALLEST_GIB} to {LARGEST_GIB}. It takes room on the site only as you fill "
        "it, and can be made larger later.",
    )
    tag = forms.CharField(
        label="Tag",
        required=False,
        max_length=LONGEST_TAG,
        help_text=f"What you call it: up to {LONGEST_TAG} characters, in any script. It can be "
        "changed, and can stay blank.",
    )
    visibility = forms.ChoiceField(
        label="Visibility",
        choices=[
            (Visibility.PRIVATE, "Private: nobody else sees it, unless you share it."),
            (Visibility.PUBLIC, "Public: everybody on this site can attach it read-only."),
        ],
        widget=forms.RadioSelect,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial = {
            "create_key": uuid.uuid4(),
            "size_gib": SMALLEST_GIB,
            "visibility": Visibility.PRIVATE,
        }
        bad = dict.fromkeys(("invalid", "required", "min_value", "max_value"), BAD_SIZE)
        self.fields["size_gib"].error_messages |= bad

    def size_bytes(self) -> int:
        """The size that is in the form, valid or not for a quota; 0 when it is no size."""
        try:
            size_gib = int(str(self["size_gib"].value()))
        except ValueError:
            return 0
        return size_gib << 30 if SMALLEST_GIB <= size_gib <= LARGEST_GIB else 0


class TypedForm(Form):
    """Before something ends that holds data: type what it is called."""

    typed = forms.CharField(
        max_length=100,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        error_messages={"required": "Type it to go on, or leave with “Cancel”."},
    )

    def __init__(self, *args: Any, phrase: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.phrase = phrase
        self.fields["typed"].label = f"To confirm, type: {phrase}"
        if not phrase:
            del self.fields["typed"]

    def clean_typed(self) -> str:
        typed: str = self.cleaned_data["typed"]
        if " ".join(typed.split()) != self.phrase:
            raise forms.ValidationError(f"That is not “{self.phrase}”. Nothing was deleted.")
        return typed


def phrase(volumes: Sequence[Volume]) -> str:
    """What is typed to confirm that these end: the tag of one, how many of several."""
    if len(volumes) != 1:
        return f"delete {len(volumes)}"
    return volumes[0].tag or volumes[0].token[:TYPED_OF_UUID]
