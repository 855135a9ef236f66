"""Machines that are launched together, and lists of machines, for programs."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from ninja import Field, Query, Schema, Status

from core.errors import Refused
from core.http import csv_text
from registration.bearer import ApiRequest
from registration.doors import find_or_404
from vms import actions, progress
from vms.api.launching import LaunchIn, order_of
from vms.api.machines import MOST_ROWS, MachineOut, router
from vms.batches import exports
from vms.exporting import for_exports, listed
from vms.models import VM, Batch

MOST_MACHINES = actions.MOST_MACHINES


class BatchIn(Schema):
    name: Annotated[str, Field(max_length=80)] = Field("", description="Blank: as the first one")
    machines: Annotated[list[LaunchIn], Field(min_length=1, max_length=MOST_MACHINES)] = Field(
        description=f"At most {MOST_MACHINES}, each as for one launch"
    )
    count: Annotated[int, Field(ge=1, le=MOST_MACHINES)] = Field(
        1, description="With one machine: so many of it, called NAME-1, NAME-2 and so on"
    )
    all_or_nothing: bool = Field(
        True, description="False: what can be launched is, and the rest is in refused"
    )
    key: UUID | None = Field(
        None, description="Of your choice: the same batch twice is launched once"
    )


class RowRefused(Schema):
    row: int = Field(description="Which of the machines; the first is 1")
    name: str
    reason: str


class BatchOut(Schema):
    uuid: UUID
    name: str
    asked: int = Field(description="How many machines")
    created_at: datetime
    refused: list[RowRefused] = Field(description="Those that were not launched")
    ready: int = Field(description="How many run, and answer by SSH")
    machines: list[MachineOut]


class BatchLine(Schema):
    uuid: UUID
    name: str
    asked: int
    created_at: datetime


class Batches(Schema):
    items: list[BatchLine]
    page: int
    pages: int
    total: int


class Wanted(Schema):
    page: Annotated[int, Field(ge=1)] = Field(1, description="The first is 1")
    page_size: Annotated[int, Field(ge=1, le=MOST_ROWS)] = Field(
        25, description="How many on a page"
    )


class Asked(Schema):
    asked: int = Field(description="How many machines were asked")
    refused: list[str] = Field(description="Why the others were not")


class ExportIn(Schema):
    format: Literal["text", "csv", "json", "ansible", "ansible-yaml", "ssh"] = Field(
        "json", description="Of the list"
    )
    batch: UUID | None = Field(None, description="Only the machines of this batch")
    cluster: UUID | None = Field(None, description="Only the machines of this cluster")


@router.post("/batches", response={201: BatchOut}, url_name="launch_batch",
             summary="Launch several machines at once")  # fmt: skip
def launch_batch(request: ApiRequest, wanted: BatchIn) -> Status[Any]:
    """In one transaction: the whole batch is within your quota, or the answer says how many are."""
    orders: list[actions.Order] = []
    left_out: list[actions.LeftOut] = []
    if wanted.count > 1 and len(wanted.machines) > 1:
        sentence = "count goes with one machine: leave it out, or leave out the others."
        raise Refused("batch_count", sentence, field="count")
    for row, one in enumerate(wanted.machines, 1):
        try:
            orders.append(order_of(request, one))
        except Refused as refused:
            left_out.append(_left_out(row, one, str(refused), wanted))
        except Http404:
            sentence = "It names a disk, an image or a recipe that is not there, or not for you."
            left_out.append(_left_out(row, one, sentence, wanted))
    if wanted.count > 1 and orders:
        orders = actions.alike(orders[0], wanted.count)
    batch = actions.launch_many(
        owner=request.user, orders=orders, name=wanted.name, key=wanted.key or uuid4(),
        all_or_nothing=wanted.all_or_nothing, left_out=left_out,
    )  # fmt: skip
    return Status(201, _shown(batch))


def _left_out(row: int, one: LaunchIn, why: str, wanted: BatchIn) -> actions.LeftOut:
    """Raises: Refused: ``batch_rows``."""
    if wanted.all_or_nothing or len(wanted.machines) == 1:
        raise Refused("batch_rows", f"Machine {row} ({one.name}): {why} None was launched.")
    return actions.LeftOut(row, one.name, why)


@router.get("/batches", response=Batches, summary="Your batches, the newest first")
def list_batches(request: ApiRequest, wanted: Query[Wanted]) -> dict[str, Any]:
    paginator = Paginator(Batch.objects.filter(owner=request.user), wanted.page_size)
    if wanted.page > paginator.num_pages:
        raise Http404
    page = paginator.page(wanted.page)
    return {
        "items": list(page.object_list),
        "page": page.number,
        "pages": paginator.num_pages,
        "total": paginator.count,
    }


@router.get("/batches/{uuid:batch}", response=BatchOut, summary="One batch, and its machines")
def one_batch(request: ApiRequest, batch: UUID) -> dict[str, Any]:
    return _shown(_find(request, batch))


@router.post("/batches/{uuid:batch}/{verb}", response={202: Asked}, url_name="ask_batch",
             summary="Shut down, or kill, all of its machines")  # fmt: skip
def ask_batch(
    request: ApiRequest, batch: UUID, verb: Literal["shut_down", "kill"]
) -> Status[dict[str, Any]]:
    machines = VM.objects.filter(batch=_find(request, batch, verb=verb)).for_rows()
    able = [vm for vm in machines if verb in vm.verbs]
    done, refusals = actions.ask_many(able, verb, by=request.user)
    return Status(202, {"asked": done, "refused": [str(refused) for refused in refusals]})


@router.get("/exports/vms", url_name="export_vms",
            summary="Your machines as text, CSV, JSON, an Ansible inventory or an SSH config")  # fmt: skip  # noqa: E501
def export_vms(request: ApiRequest, wanted: Query[ExportIn]) -> HttpResponse:
    """Those that are not done, of one batch or cluster all; names are made safe and unique."""
    own = VM.objects.visible_to(request.user).filter(owner=request.user)
    if wanted.batch or wanted.cluster:
        groups = {"batch__uuid": wanted.batch, "cluster__uuid": wanted.cluster}
        own = own.filter(**{name: key for name, key in groups.items() if key})
    else:
        own = own.alive()
    machines = [listed(vm) for vm in for_exports(own).order_by("pk")]
    if wanted.format == "csv":
        body = csv_text(exports.table(machines))
    else:
        body = exports.WRITERS[wanted.format](machines)
    return HttpResponse(body, content_type=exports.FORMATS[wanted.format].content_type)


def _find(request: ApiRequest, key: UUID, *, verb: str = "") -> Batch:
    batch: Batch = find_or_404(Batch.objects.visible_to(request.user), request, verb, uuid=key)
    return batch


def _shown(batch: Batch) -> dict[str, Any]:
    machines = list(VM.objects.filter(batch=batch).for_rows().order_by("pk"))
    return {
        "uuid": batch.uuid,
        "name": batch.name,
        "asked": batch.asked,
        "created_at": batch.created_at,
        "refused": batch.refused,
        "ready": progress.together(batch.created_at, machines).ready,
        "machines": machines,
    }
