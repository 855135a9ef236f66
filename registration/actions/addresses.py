"""Proving that an e-mail address is one's own, by a link that is sent there.

Whether an address has an account already is told to nobody but its reader: a request that
names somebody else's address is kept like any other, and the mail says something else.
"""

import uuid

from django.conf import settings
from django.urls import reverse
from django.utils import timezone

from core.errors import Refused
from core.machine import StaleState
from registration import emails, throttle
from registration.actions import links, moderation, rules
from registration.models import User
from registration.states import AccountState

#: To one address, in a window (throttle.WINDOW), whoever asks for them.
MOST_MAILS = 5


def may_write_to(email: str) -> None:
    """Outside of a transaction: what is counted must outlive the refusal.

    Raises: Refused: ``too_many_mails``.
    """
    if until := throttle.take(MOST_MAILS, "link to address", email.lower()):
        raise Refused(
            "too_many_mails",
            f"{MOST_MAILS} mails were sent to {email} in a short time. Look into its spam folder, "
            f"or try again after {until:%H:%M} UTC.",
            field="email",
        )


def send_link(user: User) -> None:
    """Mail the link that confirms the address of a request; or tell whose address it is."""
    link = link_to("registration:confirm_email", user)
    holder = User.objects.holding(email=user.email).first()
    if holder:
        emails.already_registered(holder)
    else:
        emails.confirm(user, link)


def link_to(name: str, user: User) -> str:
    path = reverse(name, args=[user.uuid, links.address_links.make_token(user)])
    return f"{settings.PORTAL_URL}{path}"


def person_to_confirm(uid: uuid.UUID, token: str) -> User:
    """Whose address this link confirms, now.

    Raises:
        Refused: ``link_spent``.
    """
    user: User | None = User.objects.filter(uuid=uid, state=AccountState.APPLIED).first()
    if user is None or not links.address_links.check_token(user, token):
        raise links.spent()
    return user


def confirm_email(uid: uuid.UUID, token: str) -> User:
    """Use the link, once: the request goes on to the administrators, or a rule lets it in.

    Raises:
        Refused: ``link_spent``; ``email_taken``, the address has got an account meanwhile.
    """
    user = person_to_confirm(uid, token)
    with rules.alone(email=user.email, besides=user):
        try:
            user.move(
                AccountState.CONFIRMED,
                by=user,
                detail={"email": user.email},
                email_confirmed_at=timezone.now(),
                email_serial=user.email_serial + 1,
            )
        except StaleState:
            raise links.spent() from None
        hand_over(user)
    return user


def hand_over(user: User) -> None:
    """A request whose address is confirmed: by a rule, or to the administrators."""
    if moderation.by_rule(user) is None:
        emails.received(user)
        emails.requested(user, User.objects.administrators())
