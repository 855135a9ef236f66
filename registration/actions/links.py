"""Links in mails that prove who reads a mailbox: to an address, or to a new password.

A link carries no state: it is a signature of what was true when it was made, so that it
dies with any of it, and after ``PASSWORD_RESET_TIMEOUT``.
"""

from typing import Any

from django.contrib.auth.tokens import PasswordResetTokenGenerator

from core.errors import Refused
from registration.models import User


class PasswordLinks(PasswordResetTokenGenerator):
    """Die with the password, the address, a sign-in, or a cancellation."""

    key_salt = "registration.actions.passwords"

    def _make_hash_value(self, user: Any, timestamp: int) -> str:
        return f"{super()._make_hash_value(user, timestamp)}{user.reset_serial}{user.state}"


class AddressLinks(PasswordResetTokenGenerator):
    """Die with the address they are about, a use of any of them, or a change of state.

    To another address of an account, with its password as well: whoever gets the account back
    gets rid of what somebody else began.
    """

    key_salt = "registration.actions.addresses"

    def _make_hash_value(self, user: User, timestamp: int) -> str:
        known = (user.pk, user.email, user.new_email, user.email_serial, user.state, timestamp)
        proven = (user.password, user.reset_serial) if user.new_email else ()
        return "\0".join(map(str, (*known, *proven)))


class SameAddressLinks(AddressLinks):
    """To stay with the address as it is: go to that address, and die with the wish."""

    key_salt = "registration.actions.addresses.stay"


password_links = PasswordLinks()
address_links = AddressLinks()
same_address_links = SameAddressLinks()


def spent() -> Refused:
    return Refused(
        "link_spent",
        "This link was used or cancelled, is older than a day, or is not whole. "
        "Ask for a new one if you need it.",
    )
