"""Adding an SSH key."""

from typing import Any

from django import forms

from core.errors import Refused
from registration import keys
from registration.forms.base import Form, optional, public_key, text


class KeyForm(Form):
    """The public key as text, or as a file, which comes first."""

    RULES = {"public_key": optional(keys.read)}

    public_key = public_key(
        required=False,
        help_text="One line, such as the text of ~/.ssh/id_ed25519.pub; "
        "what PuTTYgen saves as a public key will do too.",
    )
    file = forms.FileField(
        label="Or its file",
        required=False,
        allow_empty_file=True,
        help_text=f"The one whose name ends in .pub, of at most {keys.LONGEST_TEXT // 1024} KiB. "
        "You can drop it here.",
    )
    name = text(
        "Name",
        "off",
        keys.LONGEST_NAME,
        required=False,
        help_text="Optional; by default the comment at the end of the key.",
    )
    is_default = forms.BooleanField(label="Offer this key first on new machines", required=False)

    def clean_file(self) -> str:
        """The file's text; it is kept no longer than this form."""
        file = self.cleaned_data["file"]
        if not file:
            return ""
        try:
            content = keys.read_file(file.read(2 * keys.LONGEST_TEXT + 1))
            keys.read(content)
        except Refused as refused:
            raise forms.ValidationError(str(refused), code=refused.code) from None
        return content

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if not self.errors and not cleaned["file"] and not cleaned["public_key"].strip():
            self.add_error("public_key", "Paste a public key, or choose its file.")
        return cleaned

    def key_text(self) -> str:
        return str(self.cleaned_data["file"] or self.cleaned_data["public_key"])
