"""The forms at the entrance: registering, signing in, a new password by mail."""

from typing import Any

from django import forms

from core.errors import Refused
from registration import keys, names
from registration.actions import Application, rules
from registration.forms.base import (
    Form,
    TwicePassword,
    email,
    family_name,
    given_name,
    message,
    optional,
    password_field,
    public_key,
    text,
    username,
    x500_dn,
)
from registration.models import User


def _free_username(text: str) -> str:
    name = names.username(text)
    rules.must_be_free(username=name)
    return name


class RegisterForm(TwicePassword):
    RULES = {
        "username": _free_username,
        "email": names.email,
        "given_name": names.given_name,
        "family_name": names.family_name,
        "x500_dn": names.x500_dn,
        "message": names.message,
        "public_key": optional(keys.read),
    }

    username = username()
    email = email()
    given_name = given_name()
    family_name = family_name()
    new_password = password_field("Password", is_new=True)
    again = password_field(
        "Password, again",
        is_new=True,
        help_text="",
        error_messages={"required": "Type the password twice."},
    )
    public_key = public_key(
        required=False,
        help_text="Optional: paste it now or add it later. It lets you into your machines.",
    )
    x500_dn = x500_dn()
    message = message()
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
            password=data.get("new_password", ""),
            x500_dn=data["x500_dn"],
            message=data["message"],
            public_key=data["public_key"],
            has_agreed=data["agreement"],
        )


class SignInForm(Form):
    login = text(
        "User name or e-mail address",
        "username",
        names.LONGEST_EMAIL,
        missing="Your user name or e-mail address must be provided.",
        attrs={"autofocus": True, "autocapitalize": "off", "spellcheck": "false"},
    )
    password = password_field(
        "Password",
        is_new=False,
        error_messages={"required": "Your password must be provided."},
    )


class ResetForm(Form):
    login = text(
        "User name or e-mail address",
        "username",
        names.LONGEST_EMAIL,
        missing="Your user name or e-mail address must be provided.",
        attrs={"autofocus": True, "autocapitalize": "off", "spellcheck": "false"},
    )


class NewPasswordForm(TwicePassword):
    new_password = password_field("New password", is_new=True)
    again = password_field("New password, again", is_new=True, help_text="")
