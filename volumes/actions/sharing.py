"""Open a disk to people and groups, and close it again."""

from collections.abc import Mapping
from typing import Any

from core.errors import Refused
from registration import names, throttle
from registration.models import Group, User, same
from volumes.asking import alone_with, must
from volumes.models import Access, Share, Volume

MOST_SHARES = 50  # of one disk
#: In a window (throttle.WINDOW), by one person: whoever tries names finds few.
MOST_NAMES = 50
#: What a share may give.
GIVEN = (Access.READ, Access.WRITE)


def share(
    volume: Volume, *, by: User, access: str, username: str = "", group: Group | None = None
) -> Share:
    """Open a disk to an account, or to a group that ``by`` is in; to who has it, change that.

    Raises:
        Refused: ``not_yours``, ``disk_state``, ``share_access``, ``share_whom``,
            ``nobody_of_that_name``, ``share_self``, ``not_member``, ``too_many_shares``,
            ``too_many_attempts``.
    """
    must(volume, "share", by=by)
    _must_be_access(access)
    whom = _whom(by, names.one_line(username), group)
    with alone_with(volume, "share", by=by):
        known = volume.shares.filter(**whom).first()
        if known is not None:
            _set(volume, known, access, by)
            return known
        if volume.shares.count() >= MOST_SHARES:
            raise Refused(
                "too_many_shares",
                f"{volume} is shared with {MOST_SHARES} people and groups, which is the most. "
                "Make a group of them.",
            )
        made = Share.objects.create(volume=volume, access=access, **whom)
        volume.record_event("share", by=by, whom=name_of(made), access=access)
        volume.announce()
    return made


def _whom(by: User, username: str, group: Group | None) -> Mapping[str, Any]:
    if bool(username) == (group is not None):
        sentence = "Write a user name or choose a group: one of the two."
        raise Refused("share_whom", sentence, field="username")
    if group is None:
        return {"user": _account(by, username)}
    if not group.memberships.filter(user=by).exists():
        sentence = "You are not in this group, or not any more."
        raise Refused("not_member", sentence, field="group")
    return {"group": group}


def _account(by: User, username: str) -> User:
    if username.lower() == by.username.lower():
        raise Refused("share_self", "It is your own disk already.", field="username")
    return named(by, username, field="username")


def named(by: User, username: str, *, field: str) -> User:
    """The active account of this name; whether there is another one is not told.

    Raises:
        Refused: ``nobody_of_that_name``, ``too_many_attempts``.
    """
    if until := throttle.take(MOST_NAMES, "disk_names", str(by.uuid)):
        sentence = f"You tried {MOST_NAMES} names in a short time. Go on after {until:%H:%M} UTC."
        raise Refused("too_many_attempts", sentence, field=field)
    user: User | None = User.objects.active().filter(same("username", username)).first()
    if user is None:
        raise Refused(
            "nobody_of_that_name",
            f"No account takes disks under the user name “{username[:30]}”. Ask them how their "
            "user name is written: their page “Profile” tells it.",
            field=field,
        )
    return user


def change_share(given: Share, *, by: User, access: str) -> None:
    """Make it a share to read, or to write too.

    Raises:
        Refused: ``not_yours``, ``disk_state``, ``share_access``, ``share_over``.
    """
    _must_be_access(access)
    volume = given.volume
    with alone_with(volume, "share", by=by):
        known = volume.shares.filter(pk=given.pk).first()
        if known is None:
            raise _over()
        _set(volume, known, access, by)


def stop_sharing(given: Share, *, by: User) -> None:
    """End a share. Machines that have the disk keep it until it is detached.

    Raises:
        Refused: ``not_yours``, ``disk_state``, ``share_over``.
    """
    volume = given.volume
    with alone_with(volume, "share", by=by):
        volume.announce()  # to those whom it was open to
        if not volume.shares.filter(pk=given.pk).delete()[0]:
            raise _over()
        volume.record_event("share_stopped", by=by, whom=name_of(given), access=given.access)
        volume.announce()


def name_of(given: Share) -> str:
    return str(given.user) if given.user_id else f"group {given.group}"


def _set(volume: Volume, known: Share, access: str, by: User) -> None:
    if known.access == access:
        return
    before, known.access = known.access, access
    known.save(update_fields=["access"])
    volume.record_event(
        "share_changed", by=by, whom=name_of(known),
        before={"access": before}, after={"access": access},
    )  # fmt: skip
    volume.announce()


def _must_be_access(access: str) -> None:
    if access not in GIVEN:
        sentence = "A disk is shared to read, or to read and write."
        raise Refused("share_access", sentence, field="access")


def _over() -> Refused:
    return Refused("share_over", "It is not shared in this way any more.")
