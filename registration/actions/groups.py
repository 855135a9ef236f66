"""Groups: made by anybody, kept by their owners."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import IntegrityError, transaction

from core import live
from core.errors import Refused
from core.models import deny, record
from registration import names
from registration.models import Group, Membership, Role, User, same

MOST_GROUPS = 20  # that one person owns
SHORTEST_NAME, LONGEST_NAME, LONGEST_DESCRIPTION = 3, 40, 200


def group_name(text: str) -> str:
    """Raises: Refused: ``group_name_invalid``."""
    text = names.line(text, "group_name_invalid", field="name")
    if not names.has_letter_or_digit(text):
        sentence = "A group's name has at least one letter or digit."
        raise Refused("group_name_invalid", sentence, field="name")
    if names.has_link(text):
        sentence = "A group's name holds no link: it stands in mails to people elsewhere."
        raise Refused("group_name_invalid", sentence, field="name")
    if not SHORTEST_NAME <= len(text) <= LONGEST_NAME:
        raise Refused(
            "group_name_invalid",
            f"A group's name has {SHORTEST_NAME} to {LONGEST_NAME} characters; "
            f"this has {len(text)}.",
            field="name",
        )
    return text


def group_description(text: str) -> str:
    """Raises: Refused: ``group_description_too_long``, ``group_description_invalid``."""
    text = names.line(text, "group_description_invalid", field="description")
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
        User.objects.select_for_update(no_key=True).get(pk=owner.pk)  # two tabs, one limit
        owned = Membership.objects.filter(user=owner, role=Role.OWNER).count()
        if owned >= MOST_GROUPS:
            raise Refused(
                "too_many_groups",
                f"You own {owned} groups, and may own {MOST_GROUPS}. Delete or hand over one.",
            )
        group.save()
        Membership.objects.create(group=group, user=owner, role=Role.OWNER)
        after = {"name": group.name, "description": group.description}
        note(group, "group_created", by=owner, after=after)
        announce(group)
    return group


@contextmanager
def _alone(group: Group) -> Iterator[None]:
    """A transaction that writes a group's name, which nobody else's may be like."""
    others = Group.objects.exclude(pk=group.pk).filter(same("name", group.name))
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
    with alone_with(group, by=by, verb="group_changed") as kept:
        before = {"name": kept.name, "description": kept.description}
        after = {"name": name, "description": description}
        if before == after:
            return
        kept.name, kept.description = name, description
        with _alone(kept):
            kept.save(update_fields=["name", "description"])
        note(kept, "group_changed", by=by, before=before, after=after)
        announce(kept)


def delete_group(group: Group, *, by: User, typed: str) -> None:
    """End a group for everybody in it. ``typed`` is its name, so that it is meant.

    Raises:
        Refused: ``not_owner``, ``name_not_typed``.
    """
    if typed.strip() != group.name:
        raise Refused("name_not_typed", f"Type {group.name} to delete the group.", field="typed")
    with alone_with(group, by=by, verb="group_deleted") as kept:
        people = list(kept.memberships.values_list("user__username", flat=True))
        note(kept, "group_deleted", by=by, before={"name": kept.name, "people": people})
        announce(kept)
        kept.delete()


def set_role(group: Group, user: User, *, role: str, by: User) -> None:
    """Make a member an owner, or an owner a member.

    Raises:
        Refused: ``not_owner``, ``not_member``, ``last_owner``.
    """
    with alone_with(group, by=by, verb="group_role_changed") as kept:
        membership = _membership(kept, user)
        if membership.role == role:
            return
        if role == Role.MEMBER:
            _must_leave_an_owner(kept, besides=user)
        before, membership.role = membership.role, role
        membership.save(update_fields=["role"])
        change = {"before": {"role": before}, "after": {"role": role}}
        note(kept, "group_role_changed", by=by, owner=user, whom=str(user), **change)
        announce(kept)


def remove_member(group: Group, user: User, *, by: User) -> None:
    """Raises: Refused: ``not_owner``, ``not_member``, ``last_owner``."""
    with alone_with(group, by=by, verb="group_member_removed") as kept:
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
    note(group, verb, by=by, owner=user, whom=str(user), before={"role": membership.role})
    announce(group, audience)


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
def alone_with(group: Group, *, by: User, verb: str) -> Iterator[Group]:
    """A transaction that has the group to itself, for somebody who decides about it."""
    must_keep(group, by=by, verb=verb)
    with transaction.atomic():
        kept = Group.objects.select_for_update().filter(pk=group.pk).first()
        if kept is None or not keeps(kept, by):
            raise Refused("not_owner", f"{group} has changed meanwhile. Look at it again.")
        yield kept


def note(group: Group, verb: str, *, by: User, owner: User | None = None, **more: Any) -> None:
    """``owner`` is the person whom it concerns, if that is somebody else."""
    concerned = (owner or by).pk
    record(Group.KIND, group.uuid, verb, by=by, owner=concerned, label=group.name, **more)


def announce(group: Group, audience: tuple[int, ...] | None = None) -> None:
    """Tell open pages; ``audience`` is who knew it before, where fewer do now."""
    told = tuple({*(audience or ()), *group.audience()})
    subject = str(group.uuid)
    transaction.on_commit(lambda: live.publish(Group.KIND, subject, told), robust=True)
