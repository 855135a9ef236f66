"""What a person says anew about their own request."""

from django.http import QueryDict

from registration import names
from registration.actions.requests import Request, keeps_username
from registration.forms.base import Form, email, family_name, given_name, message, username, x500_dn
from registration.identities import sources
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

    def __init__(self, data: QueryDict | None = None, *, of: User) -> None:
        super().__init__(data, initial={field: getattr(of, field) for field in FIELDS})
        if keeps_username(of):
            field = self.fields["username"]
            field.widget.attrs["readonly"] = True
            field.help_text = f"It came with your sign-in through {sources.name_of(of.source)}."

    def request(self) -> Request:
        return Request(**{field: self.cleaned_data[field] for field in FIELDS})
