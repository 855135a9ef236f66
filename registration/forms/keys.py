"""Adding an SSH key."""

from django import forms

from registration import keys
from registration.forms.base import Form, optional, public_key, text


class KeyForm(Form):
    RULES = {"public_key": optional(keys.read)}

    public_key = public_key(
        required=True,
        help_text="One line, such as the text of ~/.ssh/id_ed25519.pub; "
        "what PuTTYgen saves as a public key will do too.",
    )
    name = text(
        "Name",
        "off",
        keys.LONGEST_NAME,
        required=False,
        help_text="Optional; by default the comment at the end of the key.",
    )
    is_default = forms.BooleanField(label="Offer this key first on new machines", required=False)
