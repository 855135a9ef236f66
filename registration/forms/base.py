"""What every form about people shares: refusals beside their field, and common fields."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.datastructures import MultiValueDict

from core.errors import Refused
from registration import keys, names
from registration.actions import rules

NEW_HELP = "At least 8 characters; not common, not only digits, not like your name."
KEY_PLACEHOLDER = "ssh-ed25519 AAAA… you@laptop"


#: What a bound of a field says; ``show_value`` is what was given.
BOUNDS = {
    "max_length": "At most %(limit_value)d characters; this has %(show_value)d.",
    "min_length": "At least %(limit_value)d characters; this has %(show_value)d.",
    "max_value": "At most %(limit_value)s; this is %(show_value)s.",
    "min_value": "At least %(limit_value)s; this is %(show_value)s.",
}


class Form(forms.Form):
    """A form whose refusals stand beside the field they are about."""

    #: field -> the rule that its text has to pass
    RULES: dict[str, Callable[[str], str]] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.error_messages = {**field.error_messages, **BOUNDS}

    def clean(self) -> dict[str, Any]:
        for field, rule in self.RULES.items():
            if field not in self.cleaned_data:
                continue
            try:
                self.cleaned_data[field] = rule(self.cleaned_data[field])
            except Refused as refused:
                self.refuse(refused, beside=field)
        return self.cleaned_data

    def refuse(self, refused: Refused, *, beside: str | None = None) -> None:
        field = beside or (refused.field if refused.field in self.fields else None)
        self.add_error(field, ValidationError(str(refused), code=refused.code))
        if field and refused.code == "key_private":  # and it must not come back in the page
            answers = MultiValueDict(self.data)
            answers[self.add_prefix(field)] = ""
            self.data = answers


def password_field(label: str, *, is_new: bool, **kwargs: Any) -> forms.CharField:
    autocomplete = "new-password" if is_new else "current-password"
    widget = forms.PasswordInput(attrs={"autocomplete": autocomplete})
    if is_new:
        kwargs.setdefault("help_text", NEW_HELP)
    missing = f"{'A' if is_new else 'Your current'} password must be provided."
    kwargs.setdefault("error_messages", {"required": missing})
    return forms.CharField(
        label=label, strip=False, max_length=rules.LONGEST_PASSWORD, widget=widget, **kwargs
    )


def text(label: str, autocomplete: str, longest: int, **kwargs: Any) -> forms.CharField:
    """``missing`` is what is said when it is left out, if more than that it is required."""
    attrs = {"autocomplete": autocomplete, **kwargs.pop("attrs", {})}
    if missing := kwargs.pop("missing", ""):
        kwargs["error_messages"] = {"required": missing}
    widget = kwargs.pop("widget", forms.TextInput)(attrs=attrs)
    return forms.CharField(label=label, max_length=longest, widget=widget, **kwargs)


def email() -> forms.CharField:
    return text(
        "E-mail address",
        "email",
        names.LONGEST_EMAIL,
        widget=forms.EmailInput,
        missing="Your e-mail address must be provided.",
    )


def given_name() -> forms.CharField:
    missing = "Your given name must be provided."
    return text("Given name(s)", "given-name", names.LONGEST_NAME, missing=missing)


def family_name() -> forms.CharField:
    missing = "Your family name must be provided."
    return text("Family name", "family-name", names.LONGEST_NAME, missing=missing)


def username() -> forms.CharField:
    return text(
        "User name",
        "username",
        20,
        help_text="3 to 20 letters without accents, digits or _. Once your account is active "
        "it stays for good.",
        missing="A user name must be provided.",
        attrs={"autocapitalize": "off", "spellcheck": "false"},
    )


def message() -> forms.CharField:
    return text(
        "Message to the administrator",
        "off",
        names.LONGEST_MESSAGE,
        required=False,
        widget=forms.Textarea,
        attrs={"rows": 4},
        help_text="Where you work, and what you want to run: it helps an administrator to decide.",
    )


def x500_dn() -> forms.CharField:
    return text(
        "X500 DN",
        "off",
        names.LONGEST_DN,
        required=False,
        attrs={"spellcheck": "false", "placeholder": "CN=Jane Doe,O=Example Lab,C=FR"},
        help_text="Optional: the name in your grid certificate, if you have one.",
    )


def public_key(*, required: bool, help_text: str) -> forms.CharField:
    attrs = {
        "rows": 4,
        "spellcheck": "false",
        "autocapitalize": "off",
        "placeholder": KEY_PLACEHOLDER,
    }
    return text(
        "SSH public key",
        "off",
        keys.LONGEST_TEXT,
        required=required,
        widget=forms.Textarea,
        attrs=attrs,
        help_text=help_text,
    )


class TwicePassword(Form):
    """A new password, typed twice."""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if "new_password" in cleaned and cleaned["new_password"] != cleaned.get("again"):
            self.add_error("again", "The two passwords are not the same.")
        return cleaned


def optional(rule: Callable[[str], Any]) -> Callable[[str], str]:
    def check(text: str) -> str:
        if text.strip():
            rule(text)
        return text

    return check
