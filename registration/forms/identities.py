"""The registration form of somebody who has shown elsewhere who they are."""

from registration.forms.entrance import RegisterForm
from registration.identities.said import Identity, suggested_username


class FinishForm(RegisterForm):
    """As the registration form, without a password: there will be none here."""

    new_password = None  # type: ignore[assignment]
    again = None  # type: ignore[assignment]

    @classmethod
    def of(cls, identity: Identity) -> "FinishForm":
        """Filled in with what the provider said."""
        return cls(
            initial={
                "username": suggested_username(identity),
                "email": identity.email,
                "given_name": identity.given_name,
                "family_name": identity.family_name,
            }
        )
