"""Whether somebody has read what is left of its maker in a disk, before everybody has it.

The one rule, for whatever opens an image of a disk of this site to everybody.
"""

from collections.abc import Iterable
from uuid import UUID

from cloud.diskfiles.hygiene import KINDS, Weight
from core.errors import Refused
from marketplace.models import Entry, Inspection
from marketplace.pdisk import disks_of
from marketplace.publishing import Reader
from marketplace.states import InspectionState, Kind, Visibility
from volumes.models import Volume


def disks_to_look_into(entry: Entry) -> list[Volume]:
    """The disks of this site that everybody would have with an entry, if machines start of them."""
    if entry.kind != Kind.MACHINE or entry.owner_id is None:
        return []
    keys = disks_of(entry.locations)
    return list(Volume.objects.filter(uuid__in=keys, owner=entry.owner_id))


def reports(disks: Iterable[Volume]) -> dict[UUID, Inspection]:
    """What was found in these disks, of those that were looked into. One query."""
    found = Inspection.objects.filter(volume__in=list(disks)).select_related("volume")
    return {one.volume.uuid: one for one in found}


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
        if report is None or report.is_moving:
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
