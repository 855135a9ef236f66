"""What people fill in about themselves. The rules are those of the actions."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.datastructures import MultiValueDict

from core.errors import Refused
from registration import keys, names
from registration.actions import Application, Profile, rules
from registration.models import User

NEW_HELP = "At least 8 characters; not common, not only digits, not like your name."
KEY_PLACEHOLDER = "ssh-ed25519 AAAA… you@laptop"


class Form(forms.Form):
    """A form whose refusals stand beside the field they are about."""

    #: field -> the rule that its text has to pass
    RULES: dict[str, Callable[[str], str]] = {}

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
    return forms.CharField(
        label=label, strip=False, max_length=rules.LONGEST_PASSWORD, widget=widget, **kwargs
    )


def _text(label: str, autocomplete: str, longest: int, **kwargs: Any) -> forms.CharField:
    attrs = {"autocomplete": autocomplete, **kwargs.pop("attrs", {})}
    widget = kwargs.pop("widget", forms.TextInput)(attrs=attrs)
    return forms.CharField(label=label, max_length=longest, widget=widget, **kwargs)


def _email() -> forms.CharField:
    return _text("E-mail address", "email", names.LONGEST_EMAIL, widget=forms.EmailInput)


def _x500_dn() -> forms.CharField:
    return _text(
        "X500 DN",
        "off",
        names.LONGEST_DN,
        required=False,
        attrs={"spellcheck": "false", "placeholder": "CN=Jane Doe,O=Example Lab,C=FR"},
        help_text="Optional: the name in your grid certificate, if you have one.",
    )


def _public_key(*, required: bool, help_text: str) -> forms.CharField:
    attrs = {
        "rows": 4,
        "spellcheck": "false",
        "autocapitalize": "off",
        "placeholder": KEY_PLACEHOLDER,
    }
    return _text(
        "SSH public key",
        "off",
        keys.LONGEST_TEXT,
        required=required,
        widget=forms.Textarea,
        attrs=attrs,
        help_text=help_text,
    )


class _TwicePassword(Form):
    """A new password, typed twice."""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if "new_password" in cleaned and cleaned["new_password"] != cleaned.get("again"):
            self.add_error("again", "The two passwords are not the same.")
        return cleaned


def _optional(rule: Callable[[str], Any]) -> Callable[[str], str]:
    def check(text: str) -> str:
        if text.strip():
            rule(text)
        return text

    return check


def _free_username(text: str) -> str:
    username = names.username(text)
    rules.must_be_free(username=username)
    return username


def _free_email(text: str) -> str:
    email = names.email(text)
    rules.must_be_free(email=email)
    return email


class RegisterForm(_TwicePassword):
    RULES = {
        "username": _free_username,
        "email": _free_email,
        "given_name": names.given_name,
        "family_name": names.family_name,
        "x500_dn": names.x500_dn,
        "public_key": _optional(keys.read),
    }

    username = _text(
        "User name",
        "username",
        20,
        help_text="3 to 20 letters without accents, digits or _. It cannot be changed later.",
        attrs={"autocapitalize": "off", "spellcheck": "false"},
    )
    email = _email()
    given_name = _text("Given name(s)", "given-name", names.LONGEST_NAME)
    family_name = _text("Family name", "family-name", names.LONGEST_NAME)
    new_password = password_field("Password", is_new=True)
    again = password_field("Password, again", is_new=True, help_text="")
    public_key = _public_key(
        required=False,
        help_text="Optional: paste it now or add it later. It lets you into your machines.",
    )
    x500_dn = _x500_dn()
    message = _text(
        "Message to the administrator",
        "off",
        names.LONGEST_MESSAGE,
        required=False,
        widget=forms.Textarea,
        attrs={"rows": 3},
        help_text="Optional, and it helps: where you work, and what you want to run.",
    )
    agreement = forms.BooleanField(
        label="I agree to the terms, conditions, and policies",
        error_messages={
            "required": "You must agree to the terms, conditions, and policies to register."
        },
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if "new_password" in cleaned:
            fields = ("username", "email", "given_name", "family_name")
            person = User(**{field: cleaned.get(field, "") for field in fields})
            try:
                rules.new_password(cleaned["new_password"], of=person)
            except Refused as refused:
                self.refuse(refused)
        return cleaned

    def application(self) -> Application:
        data = self.cleaned_data
        return Application(
            username=data["username"],
            email=data["email"],
            given_name=data["given_name"],
            family_name=data["family_name"],
            password=data["new_password"],
            x500_dn=data["x500_dn"],
            message=data["message"],
            public_key=data["public_key"],
            has_agreed=data["agreement"],
        )


class SignInForm(Form):
    login = _text(
        "User name or e-mail address",
        "username",
        names.LONGEST_EMAIL,
        attrs={"autofocus": True, "autocapitalize": "off", "spellcheck": "false"},
    )
    password = password_field("Password", is_new=False)


class ProfileForm(Form):
    RULES = {
        "email": names.email,
        "given_name": names.given_name,
        "family_name": names.family_name,
        "x500_dn": names.x500_dn,
    }

    given_name = _text("Given name(s)", "given-name", names.LONGEST_NAME)
    family_name = _text("Family name", "family-name", names.LONGEST_NAME)
    email = _email()
    x500_dn = _x500_dn()
    password = password_field(
        "Current password", is_new=False, help_text="So that nobody else changes your profile."
    )

    @classmethod
    def of(cls, user: User) -> "ProfileForm":
        fields = ("given_name", "family_name", "email", "x500_dn")
        return cls(initial={field: getattr(user, field) for field in fields})

    def profile(self) -> Profile:
        data = self.cleaned_data
        return Profile(
            given_name=data["given_name"],
            family_name=data["family_name"],
            email=data["email"],
            x500_dn=data["x500_dn"],
        )


class PasswordForm(_TwicePassword):
    password = password_field("Current password", is_new=False)
    new_password = password_field("New password", is_new=True)
    again = password_field("New password, again", is_new=True, help_text="")


class ResetForm(Form):
    login = _text(
        "User name or e-mail address",
        "username",
        names.LONGEST_EMAIL,
        attrs={"autofocus": True, "autocapitalize": "off", "spellcheck": "false"},
    )


class NewPasswordForm(_TwicePassword):
    new_password = password_field("New password", is_new=True)
    again = password_field("New password, again", is_new=True, help_text="")


class KeyForm(Form):
    RULES = {"public_key": _optional(keys.read)}

    public_key = _public_key(
        required=True,
        help_text="One line, such as the text of ~/.ssh/id_ed25519.pub; "
        "what PuTTYgen saves as a public key will do too.",
    )
    name = _text(
        "Name",
        "off",
        keys.LONGEST_NAME,
        required=False,
        help_text="Optional; by default the comment at the end of the key.",
    )
    is_default = forms.BooleanField(label="Offer this key first on new machines", required=False)


class QuotaForm(Form):
    machines = forms.IntegerField(required=False, min_value=0)
    vcpus = forms.IntegerField(label="vCPUs", required=False, min_value=0)
    memory_mib = forms.IntegerField(label="Memory in MiB", required=False, min_value=0)

    @classmethod
    def of(cls, user: User) -> "QuotaForm":
        return cls(initial={name: getattr(user, f"quota_{name}") for name in cls.base_fields})
