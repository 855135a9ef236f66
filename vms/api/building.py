"""Images that are created by themselves, for programs."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from ninja import Field, Query, Schema, Status

from core.errors import Refused
from marketplace.addresses import LONGEST, Elsewhere
from registration.bearer import ApiRequest
from registration.doors import find_or_404
from vms import actions, building, images
from vms.actions.building import LONGEST_START_MINUTES, LONGEST_STEP_MINUTES, BuildOrder
from vms.actions.saving import Image
from vms.api.launching import _bus, _disk, _keys, _size
from vms.api.machines import MOST_ROWS, MachineRef, router
from vms.lifecycle.listening import kept_log
from vms.models import Build
from vms.states import BuildState
from volumes.actions import MOST_DISKS

Text = Annotated[str, Field(max_length=65_536)]


class ScriptIn(Schema):
    name: Annotated[str, Field(min_length=1, max_length=60)] = Field(description="For its step")
    text: Text = Field(description="A program; without #! a shell reads it")
    arguments: list[str] = Field([], description="Each as it is")


class BuildIn(Schema):
    image: Annotated[str, Field(min_length=1, max_length=LONGEST)] = Field(
        description="What it is made from: an identifier, or an address of this site"
    )
    entry: UUID | None = Field(
        None, description="The entry of one endorser; left out: the best that is allowed"
    )
    title: Annotated[str, Field(min_length=1, max_length=200)] = Field(
        description="What the image is called"
    )
    comment: Annotated[str, Field(min_length=1, max_length=10_000)] = Field(
        description="What is in it, and what it is for"
    )
    author: Annotated[str, Field(max_length=200)] = Field("", description="Left out: your name")
    email: Annotated[str, Field(max_length=254)] = Field("", description="Left out: your address")
    version: Annotated[str, Field(max_length=40)] = Field(
        "", description="Left out: the minor version of the base and one"
    )
    installer: str | None = Field(
        None, description="apt, dnf, yum, apk, or blank; left out: as the entry's system has"
    )
    repositories: list[str] = Field([], description="Extra ones; they stay in the image")
    packages: list[str] = Field([], description="Installed by the installer of its system")
    prerecipe: Text = Field("", description="Shell, before packages are installed")
    recipe: Text = Field("", description="Shell, after packages are installed")
    scripts: list[ScriptIn] = Field([], description="Run in this order, after the recipe")
    excludes: list[str] | None = Field(
        None, description="Paths removed at the end; left out: keys, histories, scratch files"
    )
    type: str = Field("", description="A size by name; blank: your default one")
    disks: Annotated[list[UUID], Field(max_length=MOST_DISKS)] = Field(
        [], description="Plugged in read-only"
    )
    ssh_keys: list[str] | None = Field(
        None, description="Public keys, for a look; left out: the default ones of your account"
    )
    start_minutes: Annotated[int, Field(ge=1, le=LONGEST_START_MINUTES)] = Field(
        10, description="From the start of the machine until its guest begins"
    )
    step_minutes: Annotated[int, Field(ge=1, le=LONGEST_STEP_MINUTES)] = Field(
        60, description="For each step"
    )
    keep_running: bool = Field(False, description="Do not save it when all steps have succeeded")
    create_key: UUID | None = Field(
        None, description="Of your choice: the same order twice makes one build"
    )


class StepOut(Schema):
    number: int
    name: str
    state: str = Field(description="waiting, running, done, failed or skipped")
    began_at: datetime | None
    ended_at: datetime | None
    status: int | None = Field(description="Exit status")
    tail: str = Field(description="The last lines of one that failed")


class BuildOut(Schema):
    uuid: UUID
    title: str
    version: str
    owner: str = Field(description="A user name")
    state: str
    state_since: datetime
    reason: str = Field(description="A sentence saying why it is in this state, or blank")
    image: str = Field(description="Identifier of what it is made from")
    machine: MachineRef | None = Field(description="null: it was given to somebody else")
    made: str = Field(description="Identifier of what came of it, or blank")
    steps: list[StepOut]
    created_at: datetime
    ended_at: datetime | None

    @staticmethod
    def resolve_title(row: Build) -> str:
        return str(row)

    @staticmethod
    def resolve_version(row: Build) -> str:
        return str(row.recipe.get("version", ""))

    @staticmethod
    def resolve_owner(row: Build) -> str:
        return row.owner.username

    @staticmethod
    def resolve_image(row: Build) -> str:
        return row.base.identifier

    @staticmethod
    def resolve_machine(row: Build) -> Any:
        return row.vm if row.is_machine_theirs else None

    @staticmethod
    def resolve_made(row: Build) -> str:
        saving = row.saved_as
        return saving.entry.identifier if saving and saving.entry else ""

    @staticmethod
    def resolve_steps(row: Build) -> Any:
        return list(row.steps.all())


class Builds(Schema):
    items: list[BuildOut]
    page: int
    pages: int
    total: int


class WantedBuilds(Schema):
    state: BuildState | None = Field(None, description="Only these")
    page: Annotated[int, Field(ge=1)] = Field(1, description="The first is 1")
    page_size: Annotated[int, Field(ge=1, le=MOST_ROWS)] = Field(
        25, description="How many on a page"
    )


def _rows(request: ApiRequest) -> Any:
    rows = Build.objects.visible_to(request.user).select_related(
        "vm__saving__entry", "base", "owner"
    )
    return rows.prefetch_related("steps")


def _find(request: ApiRequest, key: UUID, verb: str = "") -> Build:
    found: Build = find_or_404(_rows(request), request, verb, uuid=key)
    return found


@router.post("/builds", response={201: BuildOut}, url_name="new_build",
             summary="Have an image created by steps")  # fmt: skip
def new_build(request: ApiRequest, wanted: BuildIn) -> Status[Any]:
    """It is starting at first. Look at it until its state is done, kept, failed or cancelled."""
    row = actions.build(owner=request.user, order=_order(request, wanted))
    return Status(201, _find(request, row.uuid))


def _order(request: ApiRequest, wanted: BuildIn) -> BuildOrder:
    entry = _entry(request, wanted)
    size, user = _size(request.user, wanted.type), request.user
    guess = building.guess(entry.os, entry.os_version)
    return BuildOrder(
        entry=entry,
        image=Image(
            title=wanted.title.strip(),
            comment=wanted.comment,
            author=wanted.author.strip() or user.get_full_name() or user.username,
            email=wanted.email or user.email,
            version=wanted.version.strip() or building.next_version(entry.version),
        ),
        recipe=building.Recipe(
            prerecipe=wanted.prerecipe,
            installer=guess if wanted.installer is None else wanted.installer,
            repositories=tuple(wanted.repositories),
            packages=tuple(wanted.packages),
            recipe=wanted.recipe,
            scripts=tuple(
                building.Script(name=one.name, text=one.text, arguments=tuple(one.arguments))
                for one in wanted.scripts
            ),
            excludes=building.DEFAULT_EXCLUDES if wanted.excludes is None
            else tuple(wanted.excludes),
        ),
        type_name=size.name,
        vcpus=size.vcpus,
        memory_mib=size.memory_mib,
        swap_mib=size.swap_mib,
        disks=[_disk(request, key, "attach") for key in wanted.disks],
        disk_bus=_bus(None, entry),
        ssh_keys=_keys(user, wanted.ssh_keys),
        start_minutes=wanted.start_minutes,
        step_minutes=wanted.step_minutes,
        keep_running=wanted.keep_running,
        create_key=wanted.create_key or uuid4(),
    )  # fmt: skip


def _entry(request: ApiRequest, wanted: BuildIn) -> Any:
    """Raises: Refused: ``image_unknown``, ``image_elsewhere``, those of a launch."""
    try:
        first, *_ = images.named(request, wanted.image, wanted.entry)
    except Elsewhere:
        raise Refused(
            "image_elsewhere",
            "This address is another site's. Post the metadata document that is there to "
            "/marketplace/metadata, then name the image by its identifier.",
            field="image",
        ) from None
    if first.refused:
        raise first.refused
    return first.entry


@router.get("/builds", response=Builds, url_name="builds",
            summary="Your images in the making, the newest first")  # fmt: skip
def list_builds(request: ApiRequest, wanted: Query[WantedBuilds]) -> dict[str, Any]:
    rows = _rows(request).filter(owner=request.user)
    if wanted.state:
        rows = rows.filter(state=wanted.state)
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


@router.get("/builds/{uuid:build}", response=BuildOut, url_name="build",
            summary="One image in the making, and its steps")  # fmt: skip
def one_build(request: ApiRequest, build: UUID) -> Build:
    return _find(request, build)


@router.get("/builds/{uuid:build}/log", url_name="build_log",
            summary="What its machine has printed, as text")  # fmt: skip
def build_log(request: ApiRequest, build: UUID) -> HttpResponse:
    """The last MiB. It is there when the machine is gone, too."""
    text = building.clean(kept_log(_find(request, build)))
    return HttpResponse(text, content_type="text/plain; charset=utf-8")


@router.post("/builds/{uuid:build}/cancel", response={202: BuildOut}, url_name="cancel_build",
             summary="Call it off, and kill its machine")  # fmt: skip
def cancel_build(request: ApiRequest, build: UUID) -> Status[Build]:
    """One that has failed stays so: only its machine is killed."""
    actions.cancel_build(_find(request, build, "cancel_build"), by=request.user)
    return Status(202, _find(request, build))


@router.post("/builds/{uuid:build}/save", response={202: BuildOut}, url_name="save_build",
             summary="Save its machine as it is now")  # fmt: skip
def save_build(request: ApiRequest, build: UUID) -> Status[Build]:
    """One that was kept running, or whose step failed and that was mended by hand."""
    actions.save_build(_find(request, build, "save_build"), by=request.user)
    return Status(202, _find(request, build))
