"""Groups: made by anybody, kept by their owners, joined by invitation.

An invitation to an address says nothing about whether somebody has an account with it: it is
kept, mailed and shown in the same way for everybody.
"""

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils import timezone

from core import live
from core.errors import Refused
from core.models import deny, record
from registration import emails, names, throttle
from registration.models import Group, Invitation, Membership, Role, User

MOST_GROUPS = 20  # that one person owns
MOST_PEOPLE = 500  # in a group
MOST_INVITATIONS = 100  # open at a time, to a group
#: In a window (throttle.WINDOW), by one person: invitations are mails to strangers.
MOST_SENT = 50
INVITED_FOR = timedelta(days=14)
SHORTEST_NAME, LONGEST_NAME, LONGEST_DESCRIPTION = 3, 40, 200


def group_name(text: str) -> str:
    """Raises: Refused: ``group_name_invalid``."""
    text = names.one_line(text)
    if not SHORTEST_NAME <= len(text) <= LONGEST_NAME:
        raise Refused(
            "group_name_invalid",
            f"A group's name has {SHORTEST_NAME} to {LONGEST_NAME} characters; "
            f"this has {len(text)}.",
            field="name",
        )
    return text


def group_description(text: str) -> str:
    """Raises: Refused: ``group_description_too_long``."""
    text = names.one_line(text)
    if len(text) > LONGEST_DESCRIPTION:
        raise Refused(
            "group_description_too_long",
            f"A description has at most {LONGEST_DESCRIPTION} characters; this has {len(text)}.",
            field="description",
        )
    return text


def create_group(*, owner: User, name: str, description: str = "") -> Group:
    """A group with one owner.

    Raises:
        Refused: ``group_name_invalid``, ``group_name_taken``, ``group_description_too_long``,
            ``too_many_groups``.
    """
    group = Group(name=group_name(name), description=group_description(description))
    with _alone(group):
        User.objects.select_for_update().get(pk=owner.pk)  # two tabs, one limit
        owned = Membership.objects.filter(user=owner, role=Role.OWNER).count()
        if owned >= MOST_GROUPS:
            raise Refused(
                "too_many_groups",
                f"You own {owned} groups, and may own {MOST_GROUPS}. Delete or hand over one.",
            )
        group.save()
        Membership.objects.create(group=group, user=owner, role=Role.OWNER)
        after = {"name": group.name, "description": group.description}
        _note(group, "group_created", by=owner, after=after)
        _announce(group)
    return group


@contextmanager
def _alone(group: Group) -> Iterator[None]:
    """A transaction that writes a group's name, which nobody else's may be like."""
    others = Group.objects.exclude(pk=group.pk).filter(name__iexact=group.name)
    taken = Refused(
        "group_name_taken",
        f"There is a group called {group.name} already. Choose another name.",
        field="name",
    )
    if others.exists():
        raise taken
    try:
        with transaction.atomic():
            yield
    except IntegrityError:  # somebody was faster by a moment
        if others.exists():
            raise taken from None
        raise


def change_group(group: Group, *, by: User, name: str, description: str = "") -> None:
    """Raises: Refused: ``not_owner``, and those of ``create_group`` about its texts."""
    name, description = group_name(name), group_description(description)
    with _kept(group, by=by, verb="group_changed") as kept:
        before = {"name": kept.name, "description": kept.description}
        after = {"name": name, "description": description}
        if before == after:
            return
        kept.name, kept.description = name, description
        with _alone(kept):
            kept.save(update_fields=["name", "description"])
        _note(kept, "group_changed", by=by, before=before, after=after)
        _announce(kept)


def delete_group(group: Group, *, by: User, typed: str) -> None:
    """End a group for everybody in it. ``typed`` is its name, so that it is meant.

    Raises:
        Refused: ``not_owner``, ``name_not_typed``.
    """
    if typed.strip() != group.name:
        raise Refused("name_not_typed", f"Type {group.name} to delete the group.", field="typed")
    with _kept(group, by=by, verb="group_deleted") as kept:
        people = list(kept.memberships.values_list("user__username", flat=True))
        _note(kept, "group_deleted", by=by, before={"name": kept.name, "people": people})
        _announce(kept)
        kept.delete()


def invite(group: Group, *, by: User, whom: str) -> Invitation:
    """Offer a place to a user name or an e-mail address, and mail it.

    Raises:
        Refused: ``not_owner``, ``nobody_of_that_name``, ``email_invalid``, ``already_member``,
            ``already_invited``, ``too_many_invitations``, ``too_many_attempts``.
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
    token = secrets.token_urlsafe(32) if email else ""
    with _kept(group, by=by, verb="group_invited") as kept:
        _must_be_new(kept, user, email)
        invitation = Invitation.objects.create(
            group=kept,
            user=user,
            email=email,
            digest=digest(token) if token else "",
            invited_by=by,
            expires_at=timezone.now() + INVITED_FOR,
        )
        _note(kept, "group_invited", by=by, owner=user, whom=str(user or email))
        emails.invited(invitation, _link(token))
        _announce(kept)
    return invitation


def _named(username: str) -> User:
    user = User.objects.active().filter(username__iexact=username).first()
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
    same = group.invitations.filter(user=user) if user else group.invitations.filter(
        email__iexact=email
    )  # fmt: skip
    if known := same.open().first():
        raise Refused(
            "already_invited",
            f"{user or email} is invited already, until {known.expires_at:%-d %B %Y}. "
            "Withdraw that invitation to send it again.",
            field="whom",
        )
    same.delete()
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
    with _kept(invitation.group, by=by, verb="group_invitation_withdrawn") as kept:
        audience = kept.audience()
        if kept.invitations.filter(pk=invitation.pk).delete()[0]:
            whom = str(invitation.user or invitation.email)
            _note(kept, "group_invitation_withdrawn", by=by, owner=invitation.user, whom=whom)
            _announce(kept, audience)


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
        _note(group, "group_joined", by=by, owner=by, through=invitation.email or "user name")
        _announce(group)
    return group


def decline_invitation(invitation: Invitation, *, by: User, has_link: bool = False) -> None:
    """Raises: Refused: ``invitation_over``."""
    with transaction.atomic():
        audience = invitation.group.audience()
        group = _take_up(invitation, by=by, has_link=has_link)
        _note(group, "group_declined", by=by, owner=by)
        _announce(group, audience)


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


def set_role(group: Group, user: User, *, role: str, by: User) -> None:
    """Make a member an owner, or an owner a member.

    Raises:
        Refused: ``not_owner``, ``not_member``, ``last_owner``.
    """
    with _kept(group, by=by, verb="group_role_changed") as kept:
        membership = _membership(kept, user)
        if membership.role == role:
            return
        if role == Role.MEMBER:
            _must_leave_an_owner(kept, besides=user)
        before, membership.role = membership.role, role
        membership.save(update_fields=["role"])
        change = {"before": {"role": before}, "after": {"role": role}}
        _note(kept, "group_role_changed", by=by, owner=user, whom=str(user), **change)
        _announce(kept)


def remove_member(group: Group, user: User, *, by: User) -> None:
    """Raises: Refused: ``not_owner``, ``not_member``, ``last_owner``."""
    with _kept(group, by=by, verb="group_member_removed") as kept:
        _end(kept, user, "group_member_removed", by=by)


def leave_group(group: Group, *, by: User) -> None:
    """Raises: Refused: ``not_member``, ``last_owner``."""
    with transaction.atomic():
        kept = Group.objects.select_for_update().get(pk=group.pk)
        _end(kept, by, "group_left", by=by)


def _end(group: Group, user: User, verb: str, *, by: User) -> None:
    membership = _membership(group, user)
    if membership.role == Role.OWNER:
        _must_leave_an_owner(group, besides=user)
    audience = group.audience()
    membership.delete()
    _note(group, verb, by=by, owner=user, whom=str(user), before={"role": membership.role})
    _announce(group, audience)


def _membership(group: Group, user: User) -> Membership:
    membership = group.memberships.filter(user=user).first()
    if membership is None:
        raise Refused("not_member", f"{user} is not in this group, or not any more.")
    return membership


def _must_leave_an_owner(group: Group, *, besides: User) -> None:
    """Of a group that nobody who can sign in owns, nobody but administrators could take care."""
    others = group.memberships.filter(role=Role.OWNER).exclude(user=besides)
    if not others.filter(user__in=User.objects.active()).exists():
        raise Refused(
            "last_owner",
            f"{besides} is the last owner of {group} with an active account. Make somebody else "
            "an owner first, or delete the group.",
        )


def keeps(group: Group, user: User) -> bool:
    """Whether this person decides about the group: an owner, or an administrator."""
    if user.is_staff and user.is_active:
        return True
    return group.memberships.filter(user=user, role=Role.OWNER).exists()


def must_keep(group: Group, *, by: User, verb: str) -> None:
    """Outside of a transaction: the denial outlives it. Raises: Refused: ``not_owner``."""
    if keeps(group, by):
        return
    refused = Refused("not_owner", f"Only an owner of {group} may do this.")
    deny(Group.KIND, group.uuid, verb, by=by, reason=str(refused), owner=by.pk, label=group.name)
    raise refused


@contextmanager
def _kept(group: Group, *, by: User, verb: str) -> Iterator[Group]:
    """A transaction that has the group to itself, for somebody who decides about it."""
    must_keep(group, by=by, verb=verb)
    with transaction.atomic():
        kept = Group.objects.select_for_update().filter(pk=group.pk).first()
        if kept is None or not keeps(kept, by):
            raise Refused("not_owner", f"{group} has changed meanwhile. Look at it again.")
        yield kept


def _note(group: Group, verb: str, *, by: User, owner: User | None = None, **more: Any) -> None:
    """``owner`` is the person whom it concerns, if that is somebody else."""
    concerned = (owner or by).pk
    record(Group.KIND, group.uuid, verb, by=by, owner=concerned, label=group.name, **more)


def _announce(group: Group, audience: tuple[int, ...] | None = None) -> None:
    """Tell open pages; ``audience`` is who knew it before, where fewer do now."""
    told = tuple({*(audience or ()), *group.audience()})
    subject = str(group.uuid)
    transaction.on_commit(lambda: live.publish(Group.KIND, subject, told), robust=True)
