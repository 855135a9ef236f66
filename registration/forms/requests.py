"""What a person says anew about their own request."""

from registration import names
from registration.actions import Request
from registration.forms.base import Form, email, family_name, given_name, message, username, x500_dn
from registration.models import User

FIELDS = ("given_name", "family_name", "username", "email", "message", "x500_dn")


class RequestForm(Form):
    RULES = {
        "username": names.username,
        "email": names.email,
        "given_name": names.given_name,
        "family_name": names.family_name,
        "x500_dn": names.x500_dn,
        "message": names.message,
    }

    given_name = given_name()
    family_name = family_name()
    username = username()
    email = email()
    message = message()
    x500_dn = x500_dn()

    @classmethod
    def of(cls, user: User) -> "RequestForm":
        return cls(initial={field: getattr(user, field) for field in FIELDS})

    def request(self) -> Request:
        return Request(**{field: self.cleaned_data[field] for field in FIELDS})
