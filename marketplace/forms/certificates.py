"""What an administrator says of a certificate that the site is to trust."""

from typing import Any

from django import forms

from registration.forms.base import Form

AUTHORITY = "It is an authority's: trust what it has issued too"
SKIPS = "Publish at once what is signed with it, without a mail to the endorser"
AUTHORITY_HELP = "Certificates that it issued, directly or by others in between, are trusted then."
SKIPS_HELP = (
    "For any address if it is the endorser's own certificate; an authority's word counts for the "
    "addresses that its certificates name."
)


class ChangeForm(Form):
    is_authority = forms.BooleanField(label=AUTHORITY, required=False, help_text=AUTHORITY_HELP)
    skips_mail = forms.BooleanField(label=SKIPS, required=False, help_text=SKIPS_HELP)
    note = forms.CharField(
        label="Note",
        required=False,
        max_length=200,
        help_text="Why it is trusted, and who said so. Administrators see it.",
    )


class TrustForm(ChangeForm):
    """A certificate, pasted or as a file."""

    pem = forms.CharField(
        label="The certificate as text",
        required=False,
        widget=forms.Textarea(
            attrs={
                "rows": 6,
                "spellcheck": "false",
                "autocapitalize": "off",
                "placeholder": "-----BEGIN CERTIFICATE-----",
            }
        ),
        help_text="PEM. Or choose its file below.",
    )
    file = forms.FileField(
        label="Or its file",
        required=False,
        help_text="PEM or DER, usually .pem, .crt or .cer. Never a .p12 or a key.",
    )
    field_order = ("pem", "file", "is_authority", "skips_mail", "note")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if not cleaned.get("pem") and not cleaned.get("file") and not self.errors:
            self.add_error("pem", "Paste a certificate, or choose its file.")
        return cleaned

    def content(self) -> bytes:
        """Of a valid form: the file counts more than the text."""
        file = self.cleaned_data["file"]
        return bytes(file.read(1 << 20)) if file else self.cleaned_data["pem"].encode()
