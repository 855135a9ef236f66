"""Launch machines, for programs."""

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

from django.conf import settings
from ninja import Field, Schema, Status

from cloud.types import ContextMethod, DiskBus
from core.errors import Refused
from marketplace.addresses import LONGEST, Elsewhere
from marketplace.models import Entry
from registration import keys
from registration.bearer import ApiRequest
from registration.doors import find_or_404
from registration.models import SshKey, User
from vms import actions, images
from vms.api.machines import MachineOut, find, router
from vms.api.networks import MOST_NETWORKS, networks_of
from vms.api.saving import ImageIn
from vms.context import MOST_PARTS, Context, Level, Part, check, tidy
from vms.forms.context import default_method, named, said
from vms.models import (
    LARGEST_MEMORY_MIB,
    LARGEST_VCPUS,
    SMALLEST_MEMORY_MIB,
    CloudStatus,
    InstanceType,
    Recipe,
)
from volumes.actions import MOST_DISKS
from volumes.models import Volume

MOST_KEYS = 50
_AS_SIZE = "Left out: as the size says"


class PluggedIn(Schema):
    disk: UUID = Field(description="Which one")
    read_only: bool = Field(False, description="The machine cannot write to it")


class PartIn(Schema):
    type: Annotated[str, Field(max_length=80)] = Field(
        "", description="What follows “text/”: x-shellscript, cloud-config, …; blank: by its text"
    )
    name: Annotated[str, Field(max_length=100)] = Field(
        "", description="Of its file; scripts run in the order of these"
    )
    text: str = Field(description="What is in it; lines end with a line feed")


class ContextIn(Schema):
    method: ContextMethod | None = Field(
        None, description="cloud-init, or one (OpenNebula/HEPiX); left out: your default"
    )
    parts: Annotated[list[PartIn], Field(max_length=MOST_PARTS)] = Field(
        [], description="User data of several parts, in this order"
    )
    pairs: dict[str, str] = Field({}, description="KEY=value pairs; SCRIPT_EXEC is a command")
    literal: str = Field("", description="The whole user data, instead of parts")
    recipe: UUID | None = Field(
        None, description="A recipe that you see, to begin with: its parts come first"
    )
    anyway: bool = Field(
        False, description="Launch in spite of warnings, such as a key that cloud-init ignores"
    )


class LaunchIn(Schema):
    name: Annotated[str, Field(min_length=1, max_length=80)] = Field(
        description="Up to 80 characters"
    )
    image: Annotated[str, Field(max_length=LONGEST)] = Field(
        "",
        description="Its identifier, or an address of this site: of the image, of one entry, of "
        "an endorser's tag",
    )
    entry: UUID | None = Field(
        None, description="The entry of one endorser; left out: the best that is allowed"
    )
    boot_disk: UUID | None = Field(None, description="Instead of an image: a disk to boot from")
    type: str = Field("", description="A size by name; blank: your default one")
    vcpus: Annotated[int, Field(ge=1, le=LARGEST_VCPUS)] | None = Field(None, description=_AS_SIZE)
    memory_mib: Annotated[int, Field(ge=SMALLEST_MEMORY_MIB, le=LARGEST_MEMORY_MIB)] | None = Field(
        None, description=_AS_SIZE
    )
    swap_mib: Annotated[int, Field(ge=0, le=LARGEST_MEMORY_MIB)] | None = Field(
        None, description=_AS_SIZE
    )
    cpu_share: Annotated[float, Field(ge=0.1, le=1)] = Field(
        1.0, description="How much of its vCPUs it gets when the host is busy"
    )
    disks: Annotated[list[PluggedIn], Field(max_length=MOST_DISKS)] = Field(
        [], description="Plugged in from the start"
    )
    volatile_gib: list[int] = Field([], description="Sizes of empty disks that end with it")
    disk_bus: DiskBus | None = Field(None, description="Left out: as the image says")
    ssh_keys: Annotated[list[str], Field(max_length=MOST_KEYS)] | None = Field(
        None, description="Public keys; left out: the default ones of your account"
    )
    default_user: Annotated[str, Field(max_length=32, pattern=r"^([a-z_][a-z0-9_.-]*)?$")] = Field(
        "", description="Whom the keys let in, where it boots from a disk; blank: root"
    )
    user_data: str = Field(
        "", description="A script (#!…) or a #cloud-config; short for a context with literal data"
    )
    context: ContextIn | None = Field(
        None, description="What the guest is told at its first boot; not together with user_data"
    )
    networks: Annotated[list[UUID], Field(max_length=MOST_NETWORKS)] = Field(
        [], description="Private networks of yours that it has cards on"
    )
    expires_at: datetime | None = Field(
        None, description="When it is shut down, its disk kept for a while; null: as the site says"
    )
    save_as: ImageIn | None = Field(
        None, description="The image that its disk becomes when it is shut down; null: none"
    )
    launch_key: UUID | None = Field(
        None, description="Of your choice: the same launch twice makes one machine"
    )


@router.post("/vms", response={201: MachineOut}, url_name="launch_vm", summary="Launch a machine")
def launch(request: ApiRequest, wanted: LaunchIn) -> Status[Any]:
    """It is pending at first. Look at it until its state is running, or failed."""
    vm = actions.launch(owner=request.user, order=order_of(request, wanted))
    return Status(201, find(request, vm.uuid))


def order_of(request: ApiRequest, wanted: LaunchIn) -> actions.Order:
    """Raises: Refused; Http404: it names a disk or an entry that is not there for this person."""
    entry, disk = _source(request, wanted)
    size = _size(request.user, wanted.type)
    return actions.Order(
        entry=entry,
        root_disk=disk,
        name=_name(wanted.name),
        type_name=size.name,
        vcpus=wanted.vcpus or size.vcpus,
        memory_mib=wanted.memory_mib or size.memory_mib,
        swap_mib=size.swap_mib if wanted.swap_mib is None else wanted.swap_mib,
        cpu_share=wanted.cpu_share,
        disks=[(_disk(request, one.disk, "attach"), one.read_only) for one in wanted.disks],
        volatile_gib=wanted.volatile_gib,
        disk_bus=_bus(wanted.disk_bus, entry),
        default_user=(wanted.default_user or "root") if disk else "",
        ssh_keys=_keys(request.user, wanted.ssh_keys),
        context=_context(request, wanted),
        networks=networks_of(request, wanted.networks),
        until=_aware(wanted.expires_at),
        image=wanted.save_as.image() if wanted.save_as else None,
        launch_key=wanted.launch_key or uuid4(),
    )


def _aware(at: datetime | None) -> datetime | None:
    """Without a zone, it is in UTC."""
    return at.replace(tzinfo=at.tzinfo or UTC) if at else None


def _source(request: ApiRequest, wanted: LaunchIn) -> tuple[Entry | None, Volume | None]:
    if bool(wanted.image) is (wanted.boot_disk is not None):
        raise Refused("image_unknown", "Name an image, or a disk to boot from.", field="image")
    if wanted.boot_disk:
        return None, _disk(request, wanted.boot_disk, "launch")
    try:
        first, *_ = images.named(request, wanted.image, wanted.entry)
    except Elsewhere:
        raise Refused(
            "image_elsewhere",
            "This address is another site's. Post the metadata document that is there to "
            "/marketplace/metadata, then launch the image by its identifier.",
            field="image",
        ) from None
    if first.refused:
        raise first.refused
    return first.entry, None


def _disk(request: ApiRequest, key: UUID, verb: str) -> Volume:
    visible = Volume.objects.visible_to(request.user).select_related("owner")
    return find_or_404(visible, request, verb, uuid=key)


def _size(owner: User, name: str) -> InstanceType:
    offered = {size.name: size for size in InstanceType.objects.offered_to(owner)}
    asked = [name] if name else [owner.default_instance_type, *_defaults(offered)]
    for one in asked:
        if one in offered:
            return offered[one]
    names = ", ".join(offered) or "none"
    raise Refused("size_unknown", f"The sizes that you can choose: {names}.", field="type")


def _defaults(offered: dict[str, InstanceType]) -> list[str]:
    """The site's default size first."""
    return sorted(offered, key=lambda name: not offered[name].is_default)


def _name(text: str) -> str:
    if not text.isprintable() or not text.strip():
        raise Refused(
            "name_invalid", "A name has no control characters or line breaks.", field="name"
        )
    return text.strip()


def _bus(wanted: DiskBus | None, entry: Entry | None) -> str:
    """Raises: Refused: ``disk_bus_unknown``. One that the image prefers gives way."""
    status = CloudStatus.objects.filter(cloud=settings.DEFAULT_CLOUD).first()
    offered = (status.disk_buses if status else []) or [str(DiskBus.VIRTIO)]
    if wanted and str(wanted) not in offered:
        raise Refused(
            "disk_bus_unknown", f"This site offers {', '.join(offered)}.", field="disk_bus"
        )
    bus = str(wanted or (entry.disks_bus if entry else ""))
    return bus if bus in offered else str(DiskBus.VIRTIO)


def _keys(owner: User, lines: list[str] | None) -> list[str]:
    if lines is None:
        return [key.public_key for key in SshKey.objects.filter(owner=owner, is_default=True)]
    try:
        return list(dict.fromkeys(keys.read(line).line for line in lines))
    except Refused as refused:
        raise Refused(refused.code, str(refused), field="ssh_keys") from None


def _context(request: ApiRequest, wanted: LaunchIn) -> Context:
    """Raises: Refused: ``user_data_invalid``, ``context_invalid``, ``context_warning``."""
    method = default_method(request.user.default_context_method)
    if wanted.context is None:
        told = Context(method=method, literal=tidy(wanted.user_data))
        return _judged(told, "user_data_invalid", "user_data", anyway=True)
    if wanted.user_data:
        sentence = "Give user_data, or a context, not both."
        raise Refused("context_invalid", sentence, field="context")
    asked = wanted.context
    first = Context(method=method)
    if asked.recipe:
        recipes = Recipe.objects.visible_to(request.user)
        first = find_or_404(recipes, request, uuid=asked.recipe).told
    parts = named([Part(one.type.strip(), one.name.strip(), tidy(one.text)) for one in asked.parts])
    told = Context(
        method=asked.method or first.method,
        parts=(*first.parts, *parts),
        pairs=tuple({**dict(first.pairs), **asked.pairs}.items()),
        literal=tidy(asked.literal) or first.literal,
    )
    return _judged(told, "context_invalid", "context", anyway=asked.anyway)


def _judged(told: Context, code: str, field: str, *, anyway: bool) -> Context:
    for problem in check(told):
        sentence = said(problem, told)
        if problem.level is Level.ERROR:
            raise Refused(code, sentence, field=field)
        if problem.level is Level.WARNING and not anyway:
            sentence = f"{sentence} To launch all the same, say “anyway”: true."
            raise Refused("context_warning", sentence, field=field)
    return told
