"""Have a disk looked into, before it goes to others."""

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from django.db import transaction

from core.errors import Refused
from core.machine import StaleState
from marketplace import tasks, traces
from marketplace.models import Inspection
from marketplace.publishing import Reader
from marketplace.states import InspectionState, Visibility
from registration.models import User
from volumes import actions as volumes
from volumes.asking import must
from volumes.models import LONGEST_TAG, Access, Volume

#: What tells a cleaned copy from the disk that it was made of.
_SUFFIX = ", cleaned"


def inspect(volume: Volume, *, by: User | None = None, again: bool = False) -> Inspection:
    """The look into a disk; begun if there was none, or ``again``, or if it holds something else
    by now.

    ``by`` None: the portal looks by itself at what it has made.

    Raises:
        Refused: ``not_yours``, ``disk_state``, ``disk_written``.
    """
    if by is not None:
        situation = must(volume, "download", by=by)
        if situation.access != Access.OWN:
            volume.record_denial("inspected", by=by)
            raise Refused("not_yours", "Only the owner of a disk has it looked into.")
        if refusal := situation.being_written():
            raise refusal
    with transaction.atomic():
        Volume.objects.select_for_update(no_key=True).get(pk=volume.pk)  # two tabs, one look
        known = Inspection.objects.filter(volume=volume).first()
        if known is None:
            return _begin(volume, by)
        is_stale = known.state == InspectionState.FAILED or traces.is_old(known)
        if not known.is_moving and (again or is_stale):
            try:
                known.move(InspectionState.WANTED, by=by, verb="inspected")
            except StaleState:
                known.refresh_from_db()
            tasks.ring_row(known)
        return known


def _begin(volume: Volume, by: User | None) -> Inspection:
    inspection = Inspection(volume=volume)
    inspection.next_tick_at = inspection.state_since
    inspection.save(force_insert=True)
    inspection.record_event("inspected", by=by, now=InspectionState.WANTED)
    inspection.announce()
    tasks.ring_row(inspection)
    return inspection


def must_be_looked_into(disks: Iterable[Volume], readers: Reader) -> None:
    """As ``traces.must_be_known``; what nobody has looked into yet, is looked into from now on.

    Raises: Refused: ``hygiene_unread``, ``hygiene_found``.
    """
    disks = list(disks)
    if readers.visibility == Visibility.PUBLIC:
        known = traces.reports(disks)
        for disk in disks:
            if disk.uuid not in known or traces.is_old(known[disk.uuid]):
                inspect(disk)
    traces.must_be_known(disks, readers)


def remove_found(
    inspection: Inspection, *, by: User, paths: Sequence[tuple[int, str]], create_key: UUID
) -> Volume:
    """A cleaned copy of the disk: of what was found, without ``paths``, as (partition, path).

    The copy is looked into as soon as it is there.

    Raises:
        Refused: ``not_yours``, ``inspection_state``, ``not_found``, and those of
            ``volumes.clean``.
    """
    volume = inspection.volume
    if volume.access_of(by) != Access.OWN:  # what is denied in a transaction is in no audit
        volume.record_denial("clean", by=by)
        raise Refused("not_yours", "Only the owner of a disk makes a cleaned copy of it.")
    if inspection.state != InspectionState.READY:
        raise Refused("inspection_state", "Wait until the disk has been looked into.")
    known = {(one["part"], one["path"]) for one in inspection.findings if one["is_removable"]}
    if strange := [path for path in paths if path not in known]:
        raise Refused("not_found", f"{strange[0][1]} is not among what can be removed.")
    with transaction.atomic():
        made = volumes.clean(
            volume, by=by, paths=_by_part(paths), create_key=create_key, tag=_cleaned(volume)
        )
        inspect(made)
    return made


def _cleaned(volume: Volume) -> str:
    """The tag of a cleaned copy: two disks of one name are taken for each other."""
    name = str(volume).removesuffix(_SUFFIX)
    return name[: LONGEST_TAG - len(_SUFFIX)].rstrip() + _SUFFIX


def _by_part(paths: Sequence[tuple[int, str]]) -> Mapping[int, list[str]]:
    wanted: dict[int, list[str]] = {}
    for part, path in paths:
        wanted.setdefault(part, []).append(path)
    return wanted
