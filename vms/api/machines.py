"""Machines, and what their owner may hold, for programs."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

from django.core.paginator import Paginator
from django.http import Http404
from ninja import Field, Query, Router, Schema, Status

from core.errors import Refused
from registration.bearer import ApiRequest
from registration.doors import find_or_404
from registration.models import ApiToken, User
from vms import actions, disks
from vms.models import VM, Saving
from vms.states import VmState
from volumes.models import Attachment, Volume

router = Router()

MOST_ROWS = 100


class QuotaLine(Schema):
    name: str
    label: str
    used: int | float = Field(description="Whole, but for disk: GiB with two decimals")
    limit: int
    unit: str


class TokenOut(Schema):
    name: str
    scope: str
    expires_at: datetime


class Me(Schema):
    uuid: uuid.UUID
    username: str
    given_name: str
    family_name: str
    email: str
    is_administrator: bool
    quota: list[QuotaLine] = Field(description="What you hold, and may hold at the same time")
    token: TokenOut = Field(description="The token that you ask with")


class ImageOut(Schema):
    identifier: str
    title: str


class BootDisk(Schema):
    uuid: uuid.UUID
    tag: str = Field(description="Blank if you do not see the disk any more")


class Endpoint(Schema):
    guest_port: int
    host: str
    port: int


class SavingOut(Schema):
    """The image that a machine is to become, or has become."""

    title: str
    comment: str
    author: str
    email: str
    version: str
    state: str = Field(description="planned, copying, signing, done, failed or dropped")
    reason: str = Field(description="Why it failed, or why its entry is not signed; or blank")
    disk: uuid.UUID | None = Field(description="The disk that it becomes, once that is begun")
    bytes_done: int = Field(description="Of that disk, while it is copied")
    bytes_total: int
    identifier: str = Field(description="The image's identifier, once it is known; or blank")
    entry: uuid.UUID | None = Field(description="Its first entry in the Marketplace")
    draft: uuid.UUID | None = Field(description="The draft of its entry")

    @staticmethod
    def resolve_disk(row: Saving) -> Any:
        return row.volume.uuid if row.volume else None

    @staticmethod
    def resolve_bytes_done(row: Saving) -> int:
        return row.volume.bytes_done if row.volume else 0

    @staticmethod
    def resolve_bytes_total(row: Saving) -> int:
        return row.volume.bytes_total if row.volume else 0

    @staticmethod
    def resolve_identifier(row: Saving) -> str:
        return row.volume.identifier if row.volume else ""

    @staticmethod
    def resolve_entry(row: Saving) -> Any:
        return row.entry.uuid if row.entry else None

    @staticmethod
    def resolve_draft(row: Saving) -> Any:
        return row.draft.uuid if row.draft else None


class MachineOut(Schema):
    uuid: uuid.UUID
    name: str
    owner: str = Field(description="A user name")
    state: str
    state_since: datetime
    reason: str = Field(description="A sentence saying why it is in this state, or blank")
    image: ImageOut | None = Field(description="What it was made from; null: from a disk")
    boot_disk: BootDisk | None = Field(description="The disk that it boots from; null: an image")
    type: str = Field(description="The size it was launched with")
    vcpus: int
    memory_mib: int
    swap_mib: int
    volatile_gib: list[int] = Field(description="Sizes of the disks that end with it")
    endpoints: list[Endpoint] = Field(description="Where its ports are reached")
    ssh: str = Field(description="host:port of its SSH, or blank while there is none")
    may: list[str] = Field(description="What it can be asked to do now")
    created_at: datetime
    ended_at: datetime | None
    expires_at: datetime | None = Field(description="When its lease ends; null: it has no end")
    saving: SavingOut | None = Field(description="The image that its disk becomes; null: none")

    @staticmethod
    def resolve_saving(vm: VM) -> Any:
        return vm.saved_as

    @staticmethod
    def resolve_owner(vm: VM) -> str:
        return vm.owner.username

    @staticmethod
    def resolve_image(vm: VM) -> Any:
        return vm.entry

    @staticmethod
    def resolve_boot_disk(vm: VM) -> Any:
        disk = vm.root_disk
        if disk is None:
            return None
        return {"uuid": disk.uuid, "tag": disk.tag if vm.is_root_disk_known else ""}

    @staticmethod
    def resolve_type(vm: VM) -> str:
        return vm.type_name

    @staticmethod
    def resolve_ssh(vm: VM) -> str:
        return vm.ssh_address

    @staticmethod
    def resolve_may(vm: VM) -> list[str]:
        return sorted(vm.verbs & (actions.VERBS.keys() | {"save"}))


class Machines(Schema):
    items: list[MachineOut]
    page: int
    pages: int
    total: int


class Wanted(Schema):
    state: VmState | None = Field(None, description="Only these; by default all that are not done")
    q: Annotated[str, Field(max_length=200)] = Field(
        "", description="Words in the name, image, address or identifier"
    )
    page: Annotated[int, Field(ge=1)] = Field(1, description="The first is 1")
    page_size: Annotated[int, Field(ge=1, le=MOST_ROWS)] = Field(
        25, description="How many on a page"
    )


@router.get("/me", response=Me, summary="Who you are, and what you may hold", url_name="me")
def me(request: ApiRequest) -> dict[str, Any]:
    user: User = request.user
    token: ApiToken = request.auth
    return {
        "uuid": user.uuid,
        "username": user.username,
        "given_name": user.given_name,
        "family_name": user.family_name,
        "email": user.email,
        "is_administrator": user.is_staff,
        "quota": actions.quota_use(user),
        "token": token,
    }


@router.get("/vms", response=Machines, summary="Your machines, the newest first", url_name="vms")
def list_machines(request: ApiRequest, wanted: Query[Wanted]) -> dict[str, Any]:
    own = VM.objects.visible_to(request.user).filter(owner=request.user)
    rows = own.filter(state=wanted.state) if wanted.state else own.alive()
    rows = rows.for_rows().select_related("saving__entry", "saving__draft")
    rows = rows.search(wanted.q.replace("\0", "")).order_by("-pk")
    paginator = Paginator(rows, wanted.page_size)
    if wanted.page > paginator.num_pages:
        raise Http404
    page = paginator.page(wanted.page)
    return {
        "items": list(page.object_list),
        "page": page.number,
        "pages": paginator.num_pages,
        "total": paginator.count,
    }


@router.get("/vms/{uuid:vm}", response=MachineOut, summary="One machine", url_name="vm")
def one_machine(request: ApiRequest, vm: uuid.UUID) -> VM:
    return find(request, vm)


def find(request: ApiRequest, key: uuid.UUID, *, verb: str = "") -> VM:
    """The machine, if this person may see it; else a 404, and a line in the audit."""
    visible = VM.objects.visible_to(request.user).for_rows()
    return find_or_404(visible, request, verb, uuid=key)


def _ask(request: ApiRequest, key: uuid.UUID, act: Callable[..., None]) -> Status[VM]:
    act(find(request, key, verb=act.__name__), by=request.user)
    return Status(202, find(request, key))


ASKED = {202: MachineOut}


@router.post("/vms/{uuid:vm}/shut_down", response=ASKED, summary="Press the power button")
def shut_down(request: ApiRequest, vm: uuid.UUID) -> Status[VM]:
    """When the guest is off, everything the machine holds is released."""
    return _ask(request, vm, actions.shut_down)


@router.post("/vms/{uuid:vm}/reboot", response=ASKED, summary="Restart the guest")
def reboot(request: ApiRequest, vm: uuid.UUID) -> Status[VM]:
    return _ask(request, vm, actions.reboot)


@router.post("/vms/{uuid:vm}/start", response=ASKED, summary="Start a machine that is halted")
def start(request: ApiRequest, vm: uuid.UUID) -> Status[VM]:
    return _ask(request, vm, actions.start)


@router.post("/vms/{uuid:vm}/kill", response=ASKED, summary="Pull the power cord")
def kill(request: ApiRequest, vm: uuid.UUID) -> Status[VM]:
    """Everything the machine holds is released at once."""
    return _ask(request, vm, actions.kill)


@router.post("/vms/{uuid:vm}/extend", response=ASKED, summary="Extend a machine's lease")
def extend(request: ApiRequest, vm: uuid.UUID) -> Status[VM]:
    """As long as the site gives, from now; or as long as it had."""
    return _ask(request, vm, actions.extend)


class LeaseIn(Schema):
    expires_at: datetime | None = Field(description="When it is shut down; null: never")


@router.put("/vms/{uuid:vm}/lease", response=MachineOut, summary="Set when a machine ends",
            url_name="vm_lease")  # fmt: skip
def set_lease(request: ApiRequest, vm: uuid.UUID, wanted: LeaseIn) -> VM:
    machine = find(request, vm, verb="lease_set")
    at = wanted.expires_at
    until = at.replace(tzinfo=at.tzinfo or UTC) if at else None
    actions.set_lease(machine, until=until, by=request.user)
    return find(request, vm)


class DiskRef(Schema):
    uuid: uuid.UUID
    tag: str
    size_bytes: int


class MachineRef(Schema):
    uuid: uuid.UUID
    name: str


class AttachmentOut(Schema):
    uuid: uuid.UUID
    disk: DiskRef
    machine: MachineRef | None = Field(description="Null: a machine of somebody else")
    state: str = Field(description="planned, attaching, attached, detaching or detached")
    state_since: datetime
    reason: str = Field(description="Why it is in this state; of an attached disk, why it still is")
    read_only: bool
    at_launch: bool
    is_root: bool = Field(description="The machine runs from it")
    device: str = Field(description="What the guest is likely to call it, or blank")
    stable_path: str = Field(description="What udev in the guest calls it, or blank")
    attached_at: datetime | None
    detached_at: datetime | None

    @staticmethod
    def resolve_disk(row: Attachment) -> Any:
        return row.volume

    @staticmethod
    def resolve_machine(row: Attachment, context: Any) -> Any:
        user = context["request"].user
        return row.vm if user.is_staff or row.vm.owner_id == user.pk else None


class AttachIn(Schema):
    disk: uuid.UUID = Field(description="Which one")
    read_only: bool = Field(False, description="The machine cannot write to it")


class DetachIn(Schema):
    force: bool = Field(False, description="Pull it out without asking the guest")


class DetachManyIn(DetachIn):
    attachments: Annotated[list[uuid.UUID], Field(min_length=1, max_length=MOST_ROWS)] = Field(
        description=f"Which ones, {MOST_ROWS} at most"
    )


class NotDetached(Schema):
    attachment: uuid.UUID
    code: str
    detail: str


class DetachedOut(Schema):
    detaching: list[AttachmentOut]
    refused: list[NotDetached] = Field(description="Those that stay, each with the refusal")


PLUGGED = {202: AttachmentOut}


@router.get("/vms/{uuid:vm}/disks", response=list[AttachmentOut], summary="A machine's disks")
def list_machine_disks(request: ApiRequest, vm: uuid.UUID) -> list[Attachment]:
    held = Attachment.objects.holding().filter(vm=find(request, vm))
    return list(held.select_related("volume", "vm"))


@router.post("/vms/{uuid:vm}/disks", response=PLUGGED, summary="Attach a disk to a machine")
def attach_disk(request: ApiRequest, vm: uuid.UUID, wanted: AttachIn) -> Status[Attachment]:
    """Plugged in while the machine runs. Look at the attachment until its state is attached."""
    machine = find(request, vm, verb="attach")
    visible = Volume.objects.visible_to(request.user).select_related("owner")
    volume = find_or_404(visible, request, "attach", uuid=wanted.disk)
    row = disks.attach(volume, machine, by=request.user, read_only=wanted.read_only)
    return Status(202, row)


@router.get("/attachments/{uuid:attachment}", response=AttachmentOut, summary="A disk in a machine")
def one_attachment(request: ApiRequest, attachment: uuid.UUID) -> Attachment:
    return _find_attachment(request, attachment)


@router.post("/attachments/{uuid:attachment}/detach", response=PLUGGED, summary="Detach a disk")
def detach_disk(
    request: ApiRequest, attachment: uuid.UUID, wanted: DetachIn | None = None
) -> Status[Attachment]:
    """Unmount it in the guest first: one that still uses the disk keeps it.

    Then it is attached again, with the reason. Forced, what was not written is lost.
    """
    row = _find_attachment(request, attachment, verb="detach")
    disks.detach(row, by=request.user, force=bool(wanted and wanted.force))
    return Status(202, _find_attachment(request, attachment))


@router.post("/attachments/detach", response={202: DetachedOut}, url_name="detach_disks",
             summary="Detach several disks, of one machine or of many")  # fmt: skip
def detach_disks(request: ApiRequest, wanted: DetachManyIn) -> Status[dict[str, Any]]:
    """Those that can be are; one that is refused keeps no other back."""
    detaching: list[Attachment] = []
    refused: list[dict[str, Any]] = []
    for key in dict.fromkeys(wanted.attachments):
        try:
            row = _find_attachment(request, key, verb="detach")
            disks.detach(row, by=request.user, force=wanted.force)
        except Refused as exc:
            refused.append({"attachment": key, "code": exc.code, "detail": str(exc)})
        except Http404:
            sentence = "There is no such thing here, or it is not yours."
            refused.append({"attachment": key, "code": "not_found", "detail": sentence})
        else:
            detaching.append(_find_attachment(request, key))
    return Status(202, {"detaching": detaching, "refused": refused})


def _find_attachment(request: ApiRequest, key: uuid.UUID, *, verb: str = "") -> Attachment:
    visible = Attachment.objects.visible_to(request.user)
    rows = visible.select_related("volume__owner", "vm__owner")
    return find_or_404(rows, request, verb, uuid=key)
