"""Proving that an e-mail address is one's own, by a link that is sent there.

Whether an address has an account already is told to nobody but its reader: a request that
names somebody else's address is kept like any other, and the mail says something else.
"""

import uuid

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from core.errors import Refused
from core.machine import StaleState
from registration import emails, names, throttle
from registration.actions import links, moderation, rules
from registration.models import User
from registration.states import AccountState

#: To one address, in a window (throttle.WINDOW), whoever asks for them.
MOST_MAILS = 5
#: By one person, in a window: each is a mail to an address that may be a stranger's.
MOST_NEW_ADDRESSES = 10


def may_write_to(email: str, *, field: str = "email") -> None:
    """Outside of a transaction: what is counted must outlive the refusal.

    Raises: Refused: ``too_many_mails``.
    """
    if until := throttle.take(MOST_MAILS, "link to address", email.lower()):
        raise Refused(
            "too_many_mails",
            f"{MOST_MAILS} mails were sent to {email} in a short time. Look into its spam folder, "
            f"or try again after {until:%H:%M} UTC.",
            field=field,
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
    """The whole address of the page ``name``, with what proves that its mail was read."""
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


def change_email(user: User, email: str) -> None:
    """Ask for another address: it is one's own only when a link that goes there is used.

    Raises:
        Refused: ``email_invalid``, ``email_same``, ``too_many_mails``, ``too_many_attempts``.
    """
    email = names.email(email)
    if email == user.email:
        raise Refused("email_same", "This is your address already.", field="email")
    if until := throttle.take(MOST_NEW_ADDRESSES, "new address", str(user.uuid)):
        raise Refused(
            "too_many_attempts",
            f"You asked for {MOST_NEW_ADDRESSES} addresses in a short time. "
            f"Try again after {until:%H:%M} UTC.",
            field="email",
        )
    may_write_to(email)
    with transaction.atomic():
        _want(user, email)
        emails.email_change_asked(user, links.same_address_links.make_token(user))
        user.record_event("email_change_asked", by=user, before=user.email, after=email)
        link = link_to("registration:new_email_confirm", user)
        holder = User.objects.exclude(pk=user.pk).holding(email=email).first()
        if holder:
            emails.already_registered(holder)
        else:
            emails.email_confirm(user, link)


def cancel_change_of_email(user: User) -> None:
    """Stay with the address as it is; links under way are worthless."""
    with transaction.atomic():
        _want(user, "")
        user.record_event("email_change_cancelled", by=user)


def person_who_wants_another(uid: uuid.UUID, token: str) -> User:
    """Whose wish for another address this link, which went to the address that counts, ends now.

    Raises:
        Refused: ``link_spent``.
    """
    return _wanting(uid, token, links.same_address_links)


def stop_change_of_email(uid: uuid.UUID, token: str) -> User:
    """Use the link: links to the other address are worthless, and it is forgotten.

    Raises:
        Refused: ``link_spent``, also if the other address counts already.
    """
    user = person_who_wants_another(uid, token)
    rows = User.objects.filter(pk=user.pk, email=user.email, email_serial=user.email_serial)
    with transaction.atomic():
        if not rows.update(new_email="", email_serial=user.email_serial + 1):
            raise links.spent()
        user.refresh_from_db()
        user.record_event("email_change_cancelled", by=user)
        user.announce()
    return user


def _want(user: User, email: str) -> None:
    user.new_email = email
    user.email_serial += 1
    user.save(update_fields=["new_email", "email_serial"])
    user.announce()


def person_of_new_email(uid: uuid.UUID, token: str) -> User:
    """Whose new address this link confirms, now.

    Raises:
        Refused: ``link_spent``.
    """
    return _wanting(uid, token, links.address_links)


def _wanting(uid: uuid.UUID, token: str, signed: links.AddressLinks) -> User:
    people = User.objects.active().exclude(new_email="")
    user: User | None = people.filter(uuid=uid).first()
    if user is None or not signed.check_token(user, token):
        raise links.spent()
    return user


def confirm_new_email(uid: uuid.UUID, token: str) -> User:
    """Use the link, once: the new address counts, and both addresses are told.

    Raises:
        Refused: ``link_spent``; ``email_taken``, the address has got an account meanwhile.
    """
    user = person_of_new_email(uid, token)
    was, email = user.email, user.new_email
    rows = User.objects.filter(pk=user.pk, new_email=email, email_serial=user.email_serial)
    changes = {"email": email, "new_email": "", "email_confirmed_at": timezone.now()}
    with rules.alone(email=email, besides=user):
        if not rows.update(email_serial=user.email_serial + 1, **changes):
            raise links.spent()
        user.refresh_from_db()
        user.record_event("email_changed", by=user, before=was, after=email)
        emails.email_changed(user, was)
        user.announce()
    return user
