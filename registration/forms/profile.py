"""What a person changes about themselves."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.utils import timezone

from core import dates
from registration import names
from registration.actions import CONTEXT_METHODS, Defaults, Profile
from registration.forms.base import (
    Form,
    TwicePassword,
    email,
    family_name,
    given_name,
    password_field,
    x500_dn,
)
from registration.models import SshKey, User


class ProfileForm(Form):
    RULES = {
        "given_name": names.given_name,
        "family_name": names.family_name,
        "x500_dn": names.x500_dn,
    }

    given_name = given_name()
    family_name = family_name()
    x500_dn = x500_dn()

    @classmethod
    def of(cls, user: User) -> "ProfileForm":
        return cls(initial={field: getattr(user, field) for field in cls.base_fields})

    def profile(self) -> Profile:
        return Profile(**{field: self.cleaned_data[field] for field in self.base_fields})


class DefaultsForm(Form):
    date_style = forms.ChoiceField(label="Dates", required=False)
    context_method = forms.ChoiceField(
        label="Contextualization",
        required=False,
        help_text="How a new machine is told its keys and user data, unless you choose another "
        "way when you launch it.",
    )
    key = forms.ChoiceField(label="SSH key that is offered first", required=False)

    def __init__(self, user: User, data: Any = None) -> None:
        keys = list(SshKey.objects.filter(owner=user))
        first = next((key for key in keys if key.is_default), None)
        initial = {
            "date_style": user.date_style,
            "context_method": user.default_context_method,
            "key": str(first.uuid) if first else "",
        }
        super().__init__(data, initial=initial)
        choices = {
            "date_style": _styles(timezone.now()),
            "context_method": [("", "As the site has it"), *CONTEXT_METHODS.items()],
            "key": [(str(key.uuid), key.name) for key in keys],
        }
        for name, offered in choices.items():
            self.fields[name].choices = offered  # type: ignore[attr-defined]
        if not keys:
            del self.fields["key"]

    def defaults(self) -> Defaults:
        data = self.cleaned_data
        key = data.get("key")
        return Defaults(
            date_style=data["date_style"],
            context_method=data["context_method"],
            key=UUID(key) if key else None,
        )


def _styles(now: datetime) -> list[tuple[str, str]]:
    """Each with what this moment looks like in it."""
    site = dates.style(settings.PORTAL_DATE_STYLE)
    styles = [(style.code, style) for style in dates.STYLES.values()]
    return [
        ("", f"As the site has it ({site.label}): {site.moment(now)}"),
        *((code, f"{style.label}: {style.moment(now)}") for code, style in styles),
    ]


class NewEmailForm(Form):
    RULES = {"email": names.email}

    email = email()


class PasswordForm(TwicePassword):
    password = password_field("Current password", is_new=False)
    new_password = password_field("New password", is_new=True)
    again = password_field("New password, again", is_new=True, help_text="")
