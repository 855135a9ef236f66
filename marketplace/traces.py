"""Whether somebody has read what is left of its maker in a disk, before everybody has it.

The one rule, for whatever opens an image of a disk of this site to everybody.
"""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from cloud.diskfiles.hygiene import KINDS, Weight
from core.errors import Refused
from core.models import Event
from marketplace.documents import Metadata
from marketplace.models import Entry, Inspection
from marketplace.pdisk import disks_of
from marketplace.publishing import Reader
from marketplace.states import InspectionState, Kind, Visibility
from registration.models import User
from volumes.models import Attachment, Volume
from volumes.states import AttachmentState


def disks_to_look_into(entry: Entry) -> list[Volume]:
    """The disks of this site that everybody would have with an entry, if machines start of them."""
    if entry.kind != Kind.MACHINE or entry.owner_id is None:
        return []
    keys = disks_of(entry.locations)
    return list(Volume.objects.filter(uuid__in=keys, owner=entry.owner_id))


def disks_in(metadata: Metadata, owner: User) -> list[Volume]:
    """As ``disks_to_look_into``, of a document that ``owner`` brings. None of an image that
    everybody has from them already."""
    said = Entry.objects.filter(identifier=metadata.identifier, owner=owner)
    if metadata.kind != Kind.MACHINE or said.filter(visibility=Visibility.PUBLIC).exists():
        return []
    return list(Volume.objects.filter(uuid__in=disks_of(metadata.locations), owner=owner))


def reports(disks: Iterable[Volume]) -> dict[UUID, Inspection]:
    """What was found in these disks, of those that were looked into. One query."""
    found = Inspection.objects.filter(volume__in=list(disks)).select_related("volume")
    return {one.volume.uuid: one for one in found}


def is_old(report: Inspection) -> bool:
    """Whether it tells of bytes that the disk may have no more."""
    return not report.is_moving and may_have_changed(report.volume, since=report.state_since)


def may_have_changed(disk: Volume, *, since: datetime) -> bool:
    """Whether a machine may have written to a disk since then, or a snapshot of it was put back."""
    writers = Attachment.objects.filter(volume=disk, read_only=False)
    ended = writers.filter(state=AttachmentState.DETACHED, state_since__lt=since)
    if writers.exclude(pk__in=ended.values("pk")).exists():
        return True
    restored = Event.objects.of(disk.uuid).filter(verb="restore_snapshot", at__gte=since)
    return restored.exists()


def must_be_known(disks: Iterable[Volume], readers: Reader) -> None:
    """Raises: Refused: ``hygiene_unread``: nobody has looked, or not to the end yet;
    ``hygiene_found``: what was found has not been read, or something could not be.
    """
    disks = list(disks)
    if readers.visibility != Visibility.PUBLIC:
        return
    known = reports(disks)
    for disk in disks:
        report = known.get(disk.uuid)
        if report is None or report.is_moving or is_old(report):
            raise Refused(
                "hygiene_unread",
                f"The portal looks into {disk} first, for keys and traces of its maker. Wait for "
                "its report, then publish; or publish it for yourself now, and open it later.",
                field="visibility",
            )
        if not readers.knows and (words := in_words(report)):
            raise Refused("hygiene_found", words, field="knows")


def in_words(report: Inspection) -> str:
    """What somebody must have read before everybody has the disk; "" if there is nothing."""
    if report.state != InspectionState.READY:
        return f"{report.volume} could not be looked into: {report.reason} {_WAY_OUT}"
    secrets = sum(KINDS[one["kind"]].weight is Weight.SECRET for one in report.findings)
    others = len(report.findings) - secrets
    if report.findings:
        found = [_many(secrets, "secret"), _many(others, "other trace")]
        said = " and ".join(words for words in found if words)
        return f"In {report.volume} there are {said} of its maker. {_WAY_OUT}"
    if not report.is_whole:
        return (
            f"Not all of {report.volume} could be read: what is in it, nobody has seen. {_WAY_OUT}"
        )
    return ""


_WAY_OUT = "Read the report and make a cleaned copy; or tick that you publish it all the same."


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' if count != 1 else ''}" if count else ""
