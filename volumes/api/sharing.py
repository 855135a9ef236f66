"""Whom a disk is open to."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from django.http import Http404
from ninja import Field, Router, Schema, Status

from core.errors import Refused
from registration.bearer import ApiRequest
from registration.models import Group
from volumes import actions
from volumes.api.disks import find, find_as_owner
from volumes.models import Share

router = Router()

Given = Literal["read", "write"]
_MAY = "read: attach read-only, copy and download; write: attach read-write too"


class GroupRef(Schema):
    uuid: UUID
    name: str


class ShareOut(Schema):
    id: int
    username: str = Field(description="Blank: shared with a group")
    group: GroupRef | None = Field(description="Null: shared with one person")
    access: Given = Field(description=_MAY)
    since: datetime

    @staticmethod
    def resolve_username(given: Share) -> str:
        return given.user.username if given.user else ""


class ShareIn(Schema):
    username: str = Field("", description="Of somebody who has an account here; or say group")
    group: UUID | None = Field(None, description="One that you are in; or say username")
    access: Given = Field("read", description=_MAY)


class ShareChange(Schema):
    access: Given = Field(description=_MAY)


@router.get("/disks/{uuid:disk}/shares", response=list[ShareOut], url_name="disk_shares",
            summary="Whom a disk is shared with")  # fmt: skip
def list_shares(request: ApiRequest, disk: UUID) -> list[Share]:
    volume = find_as_owner(request, disk, verb="opened")
    return list(volume.shares.select_related("user", "group"))


@router.post("/disks/{uuid:disk}/shares", response={201: ShareOut}, summary="Share a disk")
def share_disk(request: ApiRequest, disk: UUID, wanted: ShareIn) -> Status[Share]:
    """With a person or a group; who has it already gets what is said now."""
    volume = find(request, disk, verb="share")
    said: dict[str, Any] = {"access": wanted.access, "username": wanted.username}
    if wanted.group is not None:
        said["group"] = _group(request, wanted.group)
    return Status(201, actions.share(volume, by=request.user, **said))


def _group(request: ApiRequest, key: UUID) -> Group:
    group = Group.objects.of(request.user).filter(uuid=key).first()
    if group is None:
        sentence = "You are in no group of this number, or not any more."
        raise Refused("not_member", sentence, field="group")
    return group


@router.patch("/disks/{uuid:disk}/shares/{int:share}", response=ShareOut, url_name="disk_share",
              summary="Change what a share gives")  # fmt: skip
def change_share(request: ApiRequest, disk: UUID, share: int, change: ShareChange) -> Share:
    given = _find(request, disk, share, "share_changed")
    actions.change_share(given, by=request.user, access=change.access)
    given.refresh_from_db()
    return given


@router.delete("/disks/{uuid:disk}/shares/{int:share}", response={204: None},
               summary="Stop sharing it so")  # fmt: skip
def stop_sharing(request: ApiRequest, disk: UUID, share: int) -> Status[None]:
    """Machines that have the disk keep it until it is detached."""
    actions.stop_sharing(_find(request, disk, share, "share_stopped"), by=request.user)
    return Status(204, None)


def _find(request: ApiRequest, disk: UUID, key: int, verb: str) -> Share:
    volume = find_as_owner(request, disk, verb=verb)
    rows = Share.objects.select_related("user", "group", "volume__owner")
    found = rows.filter(volume=volume, pk=key).first()
    if found is None:
        raise Http404
    return found
