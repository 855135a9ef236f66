"""What a person chooses with the documents that they publish, and where one is fetched from."""

from typing import Any

from django import forms

from marketplace import opening
from marketplace.publishing import EVERYBODY, Reader
from marketplace.states import Visibility
from registration.forms.base import Form
from registration.models import Group, User

READERS = [
    (Visibility.PUBLIC, "Everybody"),
    (Visibility.GROUP, "A group that I am in"),
    (Visibility.PRIVATE, "Only me, and administrators"),
]


class ReadersForm(Form):
    """Who may read what is published. For entries in one's own name; others are for everybody."""

    visibility = forms.ChoiceField(
        label="Who may read it",
        choices=READERS,
        initial=Visibility.PUBLIC,
        widget=forms.RadioSelect,
        help_text="Whoever may read an entry may launch its image, and so read its bytes.",
    )
    group = forms.ModelChoiceField(
        label="The group",
        queryset=Group.objects.none(),
        required=False,
        empty_label="Choose a group",
        to_field_name="uuid",
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.asks_first = opening.asks_first(user)
        mine = Group.objects.filter(memberships__user=user)
        groups: Any = self.fields["group"]
        groups.queryset = mine
        if not mine.exists():
            visibility: Any = self.fields["visibility"]
            visibility.choices = [choice for choice in READERS if choice[0] != Visibility.GROUP]
            del self.fields["group"]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if cleaned.get("visibility") == Visibility.GROUP and not cleaned.get("group"):
            self.add_error("group", "Choose the group that may read it.")
        return cleaned

    def readers(self) -> Reader:
        """Of a valid form."""
        chosen = Visibility(self.cleaned_data["visibility"])
        if chosen == Visibility.PUBLIC:
            return EVERYBODY
        group = self.cleaned_data["group"] if chosen == Visibility.GROUP else None
        return Reader(visibility=chosen, group=group)


class AddressForm(Form):
    """Where a document is."""

    url = forms.CharField(
        label="Address",
        max_length=500,
        widget=forms.URLInput(attrs={"placeholder": "https://", "autocomplete": "off"}),
        help_text="Of an entry in another Marketplace, or of a metadata file on the web.",
        error_messages={"required": "Enter the address of a document."},
    )
