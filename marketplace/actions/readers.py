"""Who may read an entry, said when it is published and changed by its owner later."""

from django.db import transaction

from core.errors import Refused
from marketplace import opening, traces
from marketplace.actions.inspecting import must_be_looked_into
from marketplace.actions.publishing import Reader, note
from marketplace.models import Entry, Publication
from marketplace.states import Visibility
from registration.models import Group, User


def reader(visibility: str, group: Group | None, *, by: User, knows: bool = False) -> Reader:
    """The readers that this person chose.

    Raises:
        Refused: ``visibility``, ``group_missing``, ``group_strange``.
    """
    if visibility not in Visibility.values:
        raise Refused("visibility", "Choose who may read it.", field="visibility")
    if visibility != Visibility.GROUP:
        return Reader(visibility=Visibility(visibility), knows=knows)
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


def bound_of(source: Entry, owner: User | None) -> Entry | None:
    """The entry whose readers bound what ``owner`` says after ``source``; None: nobody's do."""
    return source.said_again_of if source.owner == owner else source


def seen_now(entry: Entry, user: User) -> Entry:
    """The entry with the readers that it has at this moment; a transaction keeps them so.

    Raises: Refused: ``entry_gone``: this person is not among them, whatever they were before.
    """
    visible = Entry.objects.visible_to(user).filter(pk=entry.pk)
    now = visible.select_for_update(no_key=True).first()
    if now is None:
        raise Refused(
            "entry_gone",
            "Its owner lets you no longer read the entry that this is made from, so it cannot be "
            "said again.",
        )
    return now


def must_reach_nobody_new(source: Entry | None, readers: Reader) -> None:
    """Raises: Refused: ``readers_narrower``: what few may read is not opened by saying it again."""
    if source is None or source.visibility == Visibility.PUBLIC:
        return
    if readers.visibility == Visibility.PRIVATE:
        return
    group = source.group if source.visibility == Visibility.GROUP else None
    if readers.visibility == Visibility.GROUP and group and readers.group == group:
        return
    raise Refused(
        "readers_narrower",
        f"{source.owner or source.endorser_email} lets only {group or 'themselves'} read the entry "
        f"that this is made from: choose {'that group or ' if group else ''}nobody but you.",
        field="visibility",
    )


def set_readers(entry: Entry, *, by: User, readers: Reader) -> Publication | None:
    """Open an entry to others, or close it; with it what was said earlier of the same image.

    Machines that run from it go on. What was said after another's entry is not opened further
    than that entry is now. Where the site wants it, an administrator is asked before everybody
    reads it: then the wish comes back, and nothing has changed.

    Raises: Refused: ``not_yours``, ``readers_narrower``, ``hygiene_unread``, ``hygiene_found``,
        ``entry_replaced``.
    """
    if not may_set_readers(entry, by):
        raise Refused("not_yours", "Only the owner of an entry says who may read it.")
    to_all = readers.visibility == Visibility.PUBLIC != entry.visibility
    if to_all:
        must_be_looked_into(traces.disks_to_look_into(entry), readers)
    if to_all and opening.needs_approval(entry, by=by):
        must_reach_nobody_new(entry.said_again_of, readers)
        with transaction.atomic():
            return opening.ask(entry, by=by)
    _set(entry, by, readers)
    return None


def _set(entry: Entry, by: User, readers: Reader) -> None:
    after = _named(readers.visibility, readers.group)
    with transaction.atomic():
        rows = Entry.objects.select_for_update(no_key=True, of=("self",)).filter(
            identifier=entry.identifier,
            endorser_email=entry.endorser_email,
            owner=entry.owner_id,
            is_official=entry.is_official,
        )
        found = list(rows.select_related("said_again_of"))
        for row in found:
            must_reach_nobody_new(row.said_again_of, readers)
        for row in found:
            before = _named(row.visibility, row.group)
            if before != after:
                rows.filter(pk=row.pk).update(visibility=readers.visibility, group=readers.group)
                note(row, "readers_changed", by=by, before=before, after=after)
            if readers.visibility == Visibility.PUBLIC:
                opening.withdraw_granted(row)
    entry.refresh_from_db(fields=["visibility", "group"])


def _named(visibility: str, group: Group | None) -> dict[str, str]:
    return {"visibility": str(visibility), "group": str(group) if group else ""}
