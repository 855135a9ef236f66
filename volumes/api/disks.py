"""Disks themselves: the list, one of them, and what is asked of it."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from django.core.paginator import Paginator
from django.http import Http404
from ninja import Field, Query, Router, Schema, Status

from core.sizes import in_gib
from registration.bearer import ApiRequest
from registration.doors import find_or_404
from volumes import actions, table
from volumes.models import (
    LARGEST_GIB,
    SMALLEST_GIB,
    Access,
    DiskType,
    Snapshot,
    Visibility,
    Volume,
)
from volumes.states import VolumeState

router = Router()

MOST_ROWS = 100
ONCE = "Of your choice: sent twice with the same key, it makes one disk"
SEEN = "Public: everybody on this site can attach it read-only, copy it and download it"


class DiskOut(Schema):
    uuid: UUID
    tag: str
    size_bytes: int = Field(description="What a guest sees, and what counts in the quota")
    size_gib: float = Field(description="The same, with up to two decimals")
    owner: str = Field(description="A user name")
    visibility: Visibility
    type: DiskType
    state: VolumeState
    state_since: datetime
    reason: str = Field(description="A sentence saying why it is in this state, or blank")
    users: int = Field(description="How many machines have it")
    machines: list[UUID] = Field(description="Of these, the ones that you may see")
    access: str = Field(description="What you may do with it: own, write, read; blank: see it")
    may: list[str] = Field(description="What it can be asked by you now")
    identifier: str = Field(description="Image identifier of what came in; blank: none, or changed")
    content_bytes: int | None = Field(description="How many bytes came in, unpacked")
    sha1: str = Field(description="Of the bytes that came in; not of what was written since")
    sha256: str
    sha512: str
    written_at: datetime | None = Field(description="Since when machines could write to it")
    bytes_done: int = Field(description="While it arrives: how far it is")
    bytes_total: int
    purge_at: datetime | None = Field(description="In the bin: when it ends for good")
    created_at: datetime


def _out(row: table.Row) -> dict[str, Any]:
    volume = row.volume
    same = (
        "uuid", "tag", "size_bytes", "visibility", "type", "state", "state_since", "reason",
        "content_bytes", "sha1", "sha256", "sha512", "written_at", "bytes_done", "bytes_total",
        "purge_at", "created_at",
    )  # fmt: skip
    return {name: getattr(volume, name) for name in same} | {
        "size_gib": float(in_gib(volume.size_bytes)),
        "owner": volume.owner.username,
        "users": row.users,
        "machines": [vm.uuid for vm in row.machines],
        "access": str(row.access or ""),
        "may": sorted(row.verbs),
        "identifier": volume.current_identifier,
    }


def _outs(request: ApiRequest, volumes: Iterable[Volume]) -> list[dict[str, Any]]:
    return [_out(row) for row in table.shown(volumes, request.user)]


class Disks(Schema):
    items: list[DiskOut]
    page: int
    pages: int
    total: int


Tab = Literal["mine", "shared", "public", "all", "bin"]


class Wanted(Schema):
    tab: Tab = Field(
        "mine",
        description="Whose: yours, shared with you, public ones of others, all (administrators), "
        "or your bin",
    )
    q: Annotated[str, Field(max_length=table.LONGEST_TEXT)] = Field(
        "", description="Words in any column; a size such as 10 GiB is one word"
    )
    state: VolumeState | None = Field(None, description="Only these")
    visibility: Visibility | None = Field(None, description="Only these")
    type: DiskType | None = Field(None, description="Only these")
    sort: str = Field(
        table.FIRST,
        description=f"One of {', '.join(table.SORTS)}; with a minus before it, the other way round",
        pattern=f"^-?({'|'.join(table.SORTS)})$",
    )
    page: Annotated[int, Field(ge=1)] = Field(1, description="The first is 1")
    page_size: Annotated[int, Field(ge=1, le=MOST_ROWS)] = Field(
        25, description="How many on a page"
    )


class DiskIn(Schema):
    size_gib: Annotated[int, Field(ge=SMALLEST_GIB, le=LARGEST_GIB)] = Field(
        description="What a guest sees, and what counts in your quota"
    )
    tag: str = Field("", description="Up to 40 characters")
    visibility: Visibility = Field(Visibility.PRIVATE, description=SEEN)
    create_key: UUID | None = Field(None, description=ONCE)


class DiskChange(Schema):
    """What is left out stays as it is."""

    tag: str | None = Field(None, description="Up to 40 characters")
    visibility: Visibility | None = Field(None, description=SEEN)
    type: DiskType | None = Field(None, description="What it is for")
    knows: bool = Field(
        False,
        description="Before everybody gets a machine image: you have read what the portal found "
        "in the disk, and publish it all the same",
    )


@router.get("/disks", response=Disks, summary="Disks that you see, the newest first",
            url_name="disks")  # fmt: skip
def list_disks(request: ApiRequest, wanted: Query[Wanted]) -> dict[str, Any]:
    rows = table.ordered(_chosen(request, wanted), wanted.sort)
    paginator = Paginator(rows.values_list("pk", flat=True), wanted.page_size)
    if wanted.page > paginator.num_pages:
        raise Http404
    page = paginator.page(wanted.page)
    return {
        "items": _outs(request, table.loaded(page.object_list)),
        "page": page.number,
        "pages": paginator.num_pages,
        "total": paginator.count,
    }


def _chosen(request: ApiRequest, wanted: Wanted) -> Any:
    user = request.user
    if wanted.tab == "all" and not user.is_staff:
        raise Http404
    asked = table.Asked(
        tab=wanted.tab,
        q=wanted.q.replace("\0", ""),
        state=wanted.state or "",
        visibility=wanted.visibility or "",
        type=wanted.type or "",
    )
    return table.chosen(user, asked)


@router.post("/disks", response={201: DiskOut}, summary="Make an empty disk")
def create_disk(request: ApiRequest, disk: DiskIn) -> Status[dict[str, Any]]:
    """One with bytes on it is fetched from an address, copied of another disk, or uploaded by the
    tus protocol 1.0 to /volumes/uploads/ with the same token."""
    volume = actions.create(
        owner=request.user,
        size_gib=disk.size_gib,
        tag=disk.tag,
        visibility=disk.visibility,
        create_key=disk.create_key or uuid4(),
    )
    return Status(201, shown(request, volume.uuid))


@router.get("/disks/{uuid:disk}", response=DiskOut, summary="One disk", url_name="disk")
def one_disk(request: ApiRequest, disk: UUID) -> dict[str, Any]:
    return shown(request, disk)


class GrowIn(Schema):
    size_gib: Annotated[int, Field(ge=SMALLEST_GIB, le=LARGEST_GIB)] = Field(
        description="More than it has; a disk cannot become smaller"
    )


@router.patch("/disks/{uuid:disk}", response=DiskOut, summary="Change its tag, visibility or type")
def change_disk(request: ApiRequest, disk: UUID, change: DiskChange) -> dict[str, Any]:
    actions.change(find(request, disk, verb="changed"), by=request.user, **change.dict())
    return shown(request, disk)


@router.delete("/disks/{uuid:disk}", response=DiskOut, summary="Put it into the bin")
def delete_disk(request: ApiRequest, disk: UUID) -> dict[str, Any]:
    """It can be recovered until purge_at. On a site without a bin it is gone at once."""
    actions.delete(find(request, disk, verb="delete"), by=request.user)
    return shown(request, disk)


@router.post("/disks/{uuid:disk}/recover", response=DiskOut, summary="Take it out of the bin",
             url_name="recover_disk")  # fmt: skip
def recover_disk(request: ApiRequest, disk: UUID) -> dict[str, Any]:
    actions.recover(find(request, disk, verb="recover"), by=request.user)
    return shown(request, disk)


@router.post("/disks/{uuid:disk}/cancel", response=DiskOut, summary="Give up one that arrives",
             url_name="cancel_disk")  # fmt: skip
def cancel_disk(request: ApiRequest, disk: UUID) -> dict[str, Any]:
    actions.cancel(find(request, disk, verb="cancel"), by=request.user)
    return shown(request, disk)


@router.post("/disks/{uuid:disk}/purge", response={202: DiskOut},
             summary="End a disk of the bin for good", url_name="purge_disk")  # fmt: skip
def purge_disk(request: ApiRequest, disk: UUID) -> Status[dict[str, Any]]:
    """Nobody gets it back."""
    actions.purge(find(request, disk, verb="purge"), by=request.user)
    return Status(202, shown(request, disk))


@router.post("/disks/{uuid:disk}/dismiss", response=DiskOut, url_name="dismiss_disk",
             summary="Take a disk that failed to come out of the lists")  # fmt: skip
def dismiss_disk(request: ApiRequest, disk: UUID) -> dict[str, Any]:
    actions.dismiss(find(request, disk, verb="dismiss"), by=request.user)
    return shown(request, disk)


@router.post("/disks/{uuid:disk}/grow", response={202: DiskOut}, summary="Make it larger",
             url_name="grow_disk")  # fmt: skip
def grow_disk(request: ApiRequest, disk: UUID, wanted: GrowIn) -> Status[dict[str, Any]]:
    """Attached or not. The file system on it is made larger in the guest."""
    actions.grow(find(request, disk, verb="grow"), by=request.user, size_gib=wanted.size_gib)
    return Status(202, shown(request, disk))


def find(request: ApiRequest, key: UUID, *, verb: str = "") -> Volume:
    """The disk, if this person may see it; else a 404, and a line in the audit."""
    visible = Volume.objects.visible_to(request.user).select_related("owner")
    return find_or_404(visible, request, verb, uuid=key)


def find_as_owner(request: ApiRequest, key: UUID, *, verb: str) -> Volume:
    """What its owner keeps of a disk is theirs: for whom it is shared with there is nothing.

    Administrators see it; what they may ask is another question.
    """
    volume = find(request, key, verb=verb)
    if volume.access_of(request.user) != Access.OWN and not request.user.is_staff:
        volume.record_denial(verb, by=request.user)
        raise Http404
    return volume


def own_snapshot(request: ApiRequest, volume: Volume, key: UUID | None) -> Snapshot | None:
    """The snapshot that a request names, of a disk of one's own; None if it names none."""
    if key is None:
        return None
    mine = Snapshot.objects.filter(volume=volume, volume__owner=request.user, uuid=key)
    if (snapshot := mine.first()) is None:
        raise Http404
    return snapshot


def shown(request: ApiRequest, key: UUID) -> dict[str, Any]:
    [out] = _outs(request, [find(request, key)])
    return out
