"""Invitations to groups, by user name or e-mail address.

An invitation to an address says nothing about whether somebody has an account with it: it is
kept, mailed and shown in the same way for everybody.
"""

import hashlib
import secrets
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from core.errors import Refused
from registration import emails, names, throttle
from registration.actions import addresses
from registration.actions.groups import alone_with, announce, must_keep, note
from registration.models import Group, Invitation, Membership, User, same

MOST_PEOPLE = 500  # in a group
MOST_INVITATIONS = 100  # open at a time, to a group
#: In a window (throttle.WINDOW), by one person: invitations are mails to strangers.
MOST_SENT = 50
INVITED_FOR = timedelta(days=14)


def invite(group: Group, *, by: User, whom: str) -> Invitation:
    """Offer a place to a user name or an e-mail address, and mail it.

    Raises:
        Refused: ``not_owner``, ``nobody_of_that_name``, ``email_invalid``, ``already_member``,
            ``already_invited``, ``too_many_invitations``, ``too_many_attempts``,
            ``too_many_mails``.
    """
    whom = names.one_line(whom)
    email = names.email(whom) if "@" in whom else ""
    user = None if email else _named(whom)
    must_keep(group, by=by, verb="group_invited")
    if until := throttle.take(MOST_SENT, "invite", str(by.uuid)):
        raise Refused(
            "too_many_attempts",
            f"You sent {MOST_SENT} invitations in a short time. Go on after {until:%H:%M} UTC.",
        )
    addresses.may_write_to(email or str(user and user.email), field="whom")
    token = secrets.token_urlsafe(32) if email else ""
    with alone_with(group, by=by, verb="group_invited") as kept:
        _must_be_new(kept, user, email)
        invitation = Invitation.objects.create(
            group=kept,
            user=user,
            email=email,
            digest=digest(token) if token else "",
            invited_by=by,
            expires_at=timezone.now() + INVITED_FOR,
        )
        note(kept, "group_invited", by=by, owner=user, whom=str(user or email))
        emails.invited(invitation, _link(token))
        announce(kept)
    return invitation


def _named(username: str) -> User:
    user = User.objects.active().filter(same("username", username)).first()
    if user is None:
        raise Refused(
            "nobody_of_that_name",
            f"Nobody here has the user name {username[:30]}. Invite by e-mail address whoever "
            "has no account yet.",
            field="whom",
        )
    known: User = user
    return known


def _must_be_new(group: Group, user: User | None, email: str) -> None:
    if user and group.memberships.filter(user=user).exists():
        raise Refused("already_member", f"{user} is in this group already.", field="whom")
    earlier = group.invitations.filter(user=user) if user else group.invitations.filter(
        same("email", email)
    )  # fmt: skip
    if known := earlier.open().first():
        raise Refused(
            "already_invited",
            f"{user or email} is invited already, until {known.expires_at:%-d %B %Y}. "
            "Withdraw that invitation to send it again.",
            field="whom",
        )
    earlier.delete()
    if group.invitations.open().count() >= MOST_INVITATIONS:
        raise Refused(
            "too_many_invitations",
            f"{MOST_INVITATIONS} invitations to this group are open. Withdraw one first.",
        )


def _link(token: str) -> str:
    name, args = ("registration:invitation", [token]) if token else ("registration:groups", [])
    return f"{settings.PORTAL_URL}{reverse(name, args=args)}"


def digest(token: str) -> str:
    """What is kept of the token in a mail."""
    return hashlib.sha256(token.encode()).hexdigest()


def find_invitation(token: str) -> Invitation | None:
    """The open invitation that the link in a mail is about."""
    found = Invitation.objects.open().filter(digest=digest(token))
    return found.select_related("group", "invited_by").first()


def withdraw_invitation(invitation: Invitation, *, by: User) -> None:
    """Raises: Refused: ``not_owner``."""
    with alone_with(invitation.group, by=by, verb="group_invitation_withdrawn") as kept:
        audience = kept.audience()
        if kept.invitations.filter(pk=invitation.pk).delete()[0]:
            whom = str(invitation.user or invitation.email)
            note(kept, "group_invitation_withdrawn", by=by, owner=invitation.user, whom=whom)
            announce(kept, audience)


def accept_invitation(invitation: Invitation, *, by: User, has_link: bool = False) -> Group:
    """Join. A second time changes nothing. ``has_link``: who asks has read the mail.

    Raises:
        Refused: ``invitation_over``, ``group_full``.
    """
    with transaction.atomic():
        group = _take_up(invitation, by=by, has_link=has_link)
        if group.memberships.filter(user=by).exists():
            return group
        if group.memberships.count() >= MOST_PEOPLE:
            raise Refused(
                "group_full", f"{group} has {MOST_PEOPLE} members, which is the most. Ask an owner."
            )
        Membership.objects.create(group=group, user=by)
        group.invitations.filter(user=by).delete()
        note(group, "group_joined", by=by, owner=by, through=invitation.email or "user name")
        announce(group)
    return group


def decline_invitation(invitation: Invitation, *, by: User, has_link: bool = False) -> None:
    """Raises: Refused: ``invitation_over``."""
    with transaction.atomic():
        audience = invitation.group.audience()
        group = _take_up(invitation, by=by, has_link=has_link)
        note(group, "group_declined", by=by, owner=by)
        announce(group, audience)


def _take_up(invitation: Invitation, *, by: User, has_link: bool) -> Group:
    """Use the invitation up; of two that do so at once, one finds it over."""
    group = Group.objects.select_for_update().filter(pk=invitation.group_id).first()
    mine = Invitation.objects.open() if has_link else Invitation.objects.to(by)
    is_in = group is not None and group.memberships.filter(user=by).exists()
    taken = mine.filter(pk=invitation.pk).delete()[0]
    if group is None or not (taken or is_in):
        raise Refused(
            "invitation_over",
            "This invitation is over: it was used, withdrawn, or is older than "
            f"{INVITED_FOR.days} days. Ask an owner of the group for another one.",
        )
    return group
