"""Who may read an entry, said when it is published and changed by its owner later."""

from django.db import transaction

from core.errors import Refused
from marketplace.actions.publishing import Reader, note
from marketplace.models import Entry
from marketplace.states import Visibility
from registration.models import Group, User


def reader(visibility: str, group: Group | None, *, by: User) -> Reader:
    """The readers that this person chose.

    Raises:
        Refused: ``visibility``, ``group_missing``, ``group_strange``.
    """
    if visibility not in Visibility.values:
        raise Refused("visibility", "Choose who may read it.", field="visibility")
    if visibility != Visibility.GROUP:
        return Reader(visibility=Visibility(visibility))
    if group is None:
        raise Refused("group_missing", "Choose the group that may read it.", field="group")
    if not group.memberships.filter(user=by).exists():
        sentence = f"You are not in the group {group}: choose one that you are in."
        raise Refused("group_strange", sentence, field="group")
    return Reader(visibility=Visibility.GROUP, group=group)


def may_set_readers(entry: Entry, user: User) -> bool:
    if entry.owner_id is None:
        return bool(user.is_staff and entry.is_official)
    return entry.owner_id == user.pk


def set_readers(entry: Entry, *, by: User, readers: Reader) -> None:
    """Open an entry to others, or close it; with it what was said earlier of the same image.

    Machines that run from it go on. Raises: Refused: ``not_yours``.
    """
    if not may_set_readers(entry, by):
        raise Refused("not_yours", "Only the owner of an entry says who may read it.")
    after = _named(readers.visibility, readers.group)
    with transaction.atomic():
        rows = Entry.objects.select_for_update(no_key=True).filter(
            identifier=entry.identifier,
            endorser_email=entry.endorser_email,
            owner=entry.owner_id,
            is_official=entry.is_official,
        )
        for row in rows.select_related(None):
            before = _named(row.visibility, row.group)
            if before != after:
                rows.filter(pk=row.pk).update(visibility=readers.visibility, group=readers.group)
                note(row, "readers_changed", by=by, before=before, after=after)
    entry.refresh_from_db(fields=["visibility", "group"])


def _named(visibility: str, group: Group | None) -> dict[str, str]:
    return {"visibility": str(visibility), "group": str(group) if group else ""}
