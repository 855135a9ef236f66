"""Disks that begin with bytes: of a file elsewhere, or of another disk."""

from typing import Annotated, Any
from uuid import UUID, uuid4

from ninja import Field, Router, Schema, Status

from cloud.types import DiskFormat
from registration.bearer import ApiRequest
from volumes import actions
from volumes.actions.beginning import TYPES
from volumes.actions.fetches import Wanted
from volumes.api.disks import ONCE, SEEN, DiskOut, find, own_snapshot, shown
from volumes.models import DiskType, Visibility

router = Router()

_OF_WHAT = "Of the file as it is, or, if it is packed, of what is in it"


class FetchIn(Schema):
    url: str = Field(description="http or https, without a password: a public link")
    tag: str = Field("", description="Up to 40 characters; blank: from the file's name")
    type: DiskType = Field(
        DiskType.DATA_IMAGE_RAW_READ_WRITE,
        description=f"What it is for. A file becomes one of {', '.join(TYPES)}",
    )
    visibility: Visibility = Field(Visibility.PRIVATE, description=SEEN)
    format: DiskFormat | None = Field(None, description="Left out: the portal looks")
    expected_bytes: Annotated[int, Field(ge=1)] | None = Field(
        None, description=f"{_OF_WHAT}; another size is refused"
    )
    sha1: str = Field("", description=f"{_OF_WHAT}; another one is refused. Or blank")
    sha256: str = Field("", description="As above")
    create_key: UUID | None = Field(None, description=ONCE)


class CopyIn(Schema):
    tag: str = Field("", description="Of the copy, up to 40 characters")
    snapshot: UUID | None = Field(
        None, description="Of your own disk: as it was then; left out: as it is now"
    )
    as_original: bool = Field(
        False, description="A live machine image becomes an original, whose copies boot machines"
    )
    create_key: UUID | None = Field(None, description=ONCE)


@router.post("/disks/fetch", response={201: DiskOut}, url_name="fetch_disk",
             summary="Have a disk made of a file elsewhere")  # fmt: skip
def fetch_disk(request: ApiRequest, wanted: FetchIn) -> Status[dict[str, Any]]:
    """The portal fetches the file. Look at the disk until its state is available, or failed."""
    said = wanted.dict(exclude={"format", "create_key"})
    volume = actions.fetch(
        owner=request.user,
        wanted=Wanted(**said, format=wanted.format or "", create_key=wanted.create_key or uuid4()),
    )
    return Status(201, shown(request, volume.uuid))


@router.post("/disks/{uuid:disk}/copy", response={201: DiskOut}, summary="Copy it to a new disk",
             url_name="copy_disk")  # fmt: skip
def copy_disk(
    request: ApiRequest, disk: UUID, wanted: CopyIn | None = None
) -> Status[dict[str, Any]]:
    """The copy is yours, and in the answer. An original becomes a live one."""
    said = wanted.dict() if wanted else {}
    volume = find(request, disk, verb="copy")
    snapshot = own_snapshot(request, volume, said.pop("snapshot", None))
    key = said.pop("create_key", None) or uuid4()
    made = actions.copy(volume, by=request.user, create_key=key, snapshot=snapshot, **said)
    return Status(201, shown(request, made.uuid))
