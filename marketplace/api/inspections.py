"""What is left of its maker in a disk, for programs."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from ninja import Field, Router, Schema, Status

from cloud.diskfiles.hygiene import KINDS, Weight
from marketplace import actions, traces
from marketplace.models import Inspection
from marketplace.states import InspectionState
from registration.bearer import ApiRequest
from registration.doors import find_or_404
from volumes.models import Volume

router = Router()


class FindingOut(Schema):
    kind: str = Field(description="Such as private_key, ssh_host_key or shell_history")
    weight: Weight = Field(description="How bad it is if it stays")
    part: int = Field(description="Number of the partition; 0: the disk has none")
    path: str
    size_bytes: int
    is_removable: bool = Field(description="Whether a cleaned copy can be made without it")


class UnreadOut(Schema):
    part: int = Field(description="Number of the partition; 0: the disk has none")
    why: str


class ReportOut(Schema):
    uuid: UUID
    disk: UUID
    state: InspectionState
    state_since: datetime
    reason: str = Field(description="A sentence saying why it is in this state, or blank")
    findings: list[FindingOut]
    unread: list[UnreadOut] = Field(description="What could not be read, and why")
    is_whole: bool = Field(description="Whether every file system was read to its end")
    is_old: bool = Field(description="Whether the disk may hold something else by now")
    bytes_done: int = Field(description="Read so far")
    bytes_total: int
    url: str = Field(description="Its page")


class ReportIn(Schema):
    again: bool = Field(False, description="Also if there is a report that is still true")


def _out(found: Inspection) -> dict[str, Any]:
    same = ("uuid", "state", "state_since", "reason", "unread", "is_whole", "bytes_done",
            "bytes_total")  # fmt: skip
    return {name: getattr(found, name) for name in same} | {
        "disk": found.volume.uuid,
        "findings": [{**one, "weight": KINDS[one["kind"]].weight} for one in found.findings],
        "is_old": traces.is_old(found),
        "url": f"{settings.PORTAL_URL}{found.get_absolute_url()}",
    }


@router.get("/disks/{uuid:disk}/report", response=ReportOut, url_name="disk_report",
            summary="What was found in your disk of its maker")  # fmt: skip
def disk_report(request: ApiRequest, disk: UUID) -> dict[str, Any]:
    """Keys, tokens, histories and other traces. 404: nobody has looked into it yet."""
    rows = Inspection.objects.visible_to(request.user).select_related("volume")
    return _out(find_or_404(rows, request, volume__uuid=disk))


@router.post("/disks/{uuid:disk}/report", response={202: ReportOut},
             summary="Have your disk looked into")  # fmt: skip
def ask_report(
    request: ApiRequest, disk: UUID, wanted: ReportIn | None = None
) -> Status[dict[str, Any]]:
    """Without starting it. Look at the report until its state is ready or failed. Asked twice,
    it is one look."""
    visible = Volume.objects.visible_to(request.user).select_related("owner")
    volume = find_or_404(visible, request, "inspected", uuid=disk)
    found = actions.inspect(volume, by=request.user, again=bool(wanted and wanted.again))
    return Status(202, _out(found))
