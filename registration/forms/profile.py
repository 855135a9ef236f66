"""What a person changes about themselves."""

from registration import names
from registration.actions import Profile
from registration.forms.base import Form, TwicePassword, email, password_field, text, x500_dn
from registration.models import User


class ProfileForm(Form):
    RULES = {
        "email": names.email,
        "given_name": names.given_name,
        "family_name": names.family_name,
        "x500_dn": names.x500_dn,
    }

    given_name = text("Given name(s)", "given-name", names.LONGEST_NAME)
    family_name = text("Family name", "family-name", names.LONGEST_NAME)
    email = email()
    x500_dn = x500_dn()
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


class PasswordForm(TwicePassword):
    password = password_field("Current password", is_new=False)
    new_password = password_field("New password", is_new=True)
    again = password_field("New password, again", is_new=True, help_text="")
