"""Clusters, for programs."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from ninja import Field, Query, Schema, Status

from core.errors import Refused
from marketplace.addresses import LONGEST, Elsewhere
from marketplace.models import Entry
from registration.bearer import ApiRequest
from registration.doors import find_or_404
from vms import actions, images
from vms.actions import ClusterOrder, Order
from vms.api.launching import _bus, _keys, _size
from vms.api.machines import MOST_ROWS, find, router
from vms.api.networks import NetworkRef
from vms.clusters import LONGEST_MINUTES, Wishes, script
from vms.models import VM, Cluster, InstanceType
from vms.states import ClusterState


class ClusterIn(Schema):
    name: Annotated[str, Field(min_length=1, max_length=40)] = Field(
        description="Its machines are called NAME-master, NAME-node2, …"
    )
    image: Annotated[str, Field(min_length=1, max_length=LONGEST)] = Field(
        description="Of the workers: an identifier, or an address of this site"
    )
    workers: Annotated[int, Field(ge=1, lt=actions.MOST_NODES)] = Field(
        2, description="Machines beside the master"
    )
    type: str = Field("", description="Size of each worker; blank: your default one")
    master_image: Annotated[str, Field(max_length=LONGEST)] = Field(
        "", description="Of the master; blank: as the workers"
    )
    master_type: str = Field("", description="Size of the master; blank: as the workers")
    master_vm: UUID | None = Field(
        None, description="A running machine of yours that becomes the master, instead"
    )
    include_master: bool = Field(False, description="The master works, too")
    ssh_keys: list[str] | None = Field(
        None, description="Public keys; left out: the default ones of your account"
    )
    user: str = Field("", description="An extra user on every machine")
    shared_folder: str = Field("", description="A full path: of the master, mounted by all")
    packages: list[str] = Field([], description="Installed on every machine")
    machine_file: bool = Field(True, description="Write an MPI machine file")
    hook: str = Field("", description="A script the master runs when all workers are set up")
    tolerate: bool = Field(False, description="Go on without workers that fail")
    keep_failed: bool = Field(False, description="Keep machines then, instead of killing them")
    minutes: Annotated[int, Field(ge=1, le=LONGEST_MINUTES)] = Field(
        15, description="To be set up, from when all run"
    )
    create_key: UUID | None = Field(
        None, description="Of your choice: the same order twice makes one cluster"
    )


class NodeOut(Schema):
    number: int = Field(description="0 is the master")
    name: str = Field(description="By which the others know it: node1, node2, …")
    uuid: UUID
    machine: str = Field(description="Its name")
    state: str
    address: str = Field(description="On the private network")
    ssh: str = Field(description="host:port, or blank")
    step: str = Field(description="Where its set-up is; blank: it has said nothing")
    is_set_up: bool
    status: int | None = Field(description="Exit status of a step that failed")
    tail: str = Field(description="Last lines of that step")
    lost: str = Field(description="Why it was given up, or blank")


class ClusterOut(Schema):
    uuid: UUID
    name: str
    owner: str = Field(description="A user name")
    state: str = Field(description="starting, wiring, ready, failed, ending or ended")
    state_since: datetime
    reason: str = Field(description="A sentence saying why it is in this state, or blank")
    network: NetworkRef
    nodes: list[NodeOut]
    created_at: datetime
    ended_at: datetime | None

    @staticmethod
    def resolve_owner(cluster: Cluster) -> str:
        return cluster.owner.username

    @staticmethod
    def resolve_nodes(cluster: Cluster) -> list[dict[str, Any]]:
        nics = {nic.vm_id: nic.address.partition("/")[0] for nic in cluster.network.nics.all()}
        machines = sorted(cluster.vms.all(), key=lambda vm: vm.node_number or 0)
        return [_node(cluster, vm, nics.get(vm.pk, "")) for vm in machines]


def _node(cluster: Cluster, vm: VM, address: str) -> dict[str, Any]:
    said = cluster.nodes.get(vm.token, {})
    number = vm.node_number or 0
    return {
        "number": number, "name": f"node{number + 1}", "uuid": vm.uuid, "machine": vm.name,
        "state": str(vm.state), "address": address, "ssh": vm.ssh_address,
        "step": said.get("step", ""), "is_set_up": bool(said.get("done")),
        "status": said.get("status") or None, "tail": said.get("tail", ""),
        "lost": said.get("dropped") or said.get("failed") or "",
    }  # fmt: skip


class Clusters(Schema):
    items: list[ClusterOut]
    page: int
    pages: int
    total: int


class WantedClusters(Schema):
    state: ClusterState | None = Field(None, description="Only those in this state")
    page: Annotated[int, Field(ge=1)] = Field(1, description="Which page, from 1")
    page_size: Annotated[int, Field(ge=1, le=MOST_ROWS)] = Field(25, description="Rows of a page")


def _rows(request: ApiRequest) -> Any:
    rows = Cluster.objects.visible_to(request.user).select_related("owner", "network")
    return rows.prefetch_related("vms", "network__nics")


def _find(request: ApiRequest, key: UUID, verb: str = "") -> Cluster:
    cluster: Cluster = find_or_404(_rows(request), request, verb, uuid=key)
    return cluster


@router.get("/clusters", response=Clusters, url_name="clusters",
            summary="Your clusters, the newest first")  # fmt: skip
def list_clusters(request: ApiRequest, wanted: Query[WantedClusters]) -> dict[str, Any]:
    rows = _rows(request).filter(owner=request.user)
    if wanted.state:
        rows = rows.filter(state=wanted.state)
    paginator = Paginator(rows, wanted.page_size)
    if wanted.page > paginator.num_pages:
        raise Http404
    page = paginator.page(wanted.page)
    return {"items": list(page.object_list), "page": page.number,
            "pages": paginator.num_pages, "total": paginator.count}  # fmt: skip


@router.post("/clusters", response={201: ClusterOut}, url_name="new_cluster",
             summary="Launch a cluster")  # fmt: skip
def new_cluster(request: ApiRequest, wanted: ClusterIn) -> Status[Cluster]:
    """All of its machines, or none. Look at it until it is ready, or given up."""
    cluster = actions.launch_cluster(owner=request.user, order=_order(request, wanted))
    return Status(201, _find(request, cluster.uuid))


def _order(request: ApiRequest, wanted: ClusterIn) -> ClusterOrder:
    entry = _entry(request, wanted.image, "image")
    size = _size(request.user, wanted.type)
    keys = _keys(request.user, wanted.ssh_keys)
    master, master_vm = None, None
    if wanted.master_vm:
        master_vm = find(request, wanted.master_vm, verb="attach_nic")
    else:
        own = _entry(request, wanted.master_image, "master_image") if wanted.master_image else entry
        large = _size(request.user, wanted.master_type) if wanted.master_type else size
        master = _machine(wanted.name, own, large, keys)
    names = ("user", "shared_folder", "machine_file", "hook", "include_master", "tolerate",
             "keep_failed", "minutes")  # fmt: skip
    return ClusterOrder(
        name=wanted.name,
        worker=_machine(wanted.name, entry, size, keys),
        workers=wanted.workers,
        master=master,
        master_vm=master_vm,
        wishes=Wishes(packages=tuple(wanted.packages), **{n: getattr(wanted, n) for n in names}),
        create_key=wanted.create_key or uuid4(),
    )


def _machine(name: str, entry: Entry, size: InstanceType, keys: Sequence[str]) -> Order:
    return Order(
        entry=entry, name=name, type_name=size.name, vcpus=size.vcpus, memory_mib=size.memory_mib,
        swap_mib=size.swap_mib, disk_bus=_bus(None, entry), ssh_keys=keys,
    )  # fmt: skip


def _entry(request: ApiRequest, image: str, field: str) -> Any:
    """Raises: Refused: ``image_unknown``, ``image_elsewhere``, those of a launch."""
    try:
        first, *_ = images.named(request, image)
    except Elsewhere:
        raise Refused(
            "image_elsewhere",
            "This address is another site's. Post the metadata document that is there to "
            "/marketplace/metadata, then name the image by its identifier.",
            field=field,
        ) from None
    if first.refused:
        raise first.refused
    return first.entry


@router.get("/clusters/{uuid:cluster}", response=ClusterOut, url_name="cluster",
            summary="One cluster, and how far each of its machines is")  # fmt: skip
def one_cluster(request: ApiRequest, cluster: UUID) -> Cluster:
    return _find(request, cluster)


@router.get("/clusters/{uuid:cluster}/master.sh", url_name="cluster_script",
            summary="What is run in a master that was there before, as text")  # fmt: skip
def cluster_script(request: ApiRequest, cluster: UUID) -> HttpResponse:
    """There is no secret in it. Other clusters have none."""
    row = _find(request, cluster)
    plan = row.plan()
    if not row.is_borrowed or not plan.nodes or not plan.nodes[0].is_master:
        raise Http404
    text = script(plan, plan.master, is_borrowed=True)
    return HttpResponse(text, content_type="text/plain; charset=utf-8")


@router.delete("/clusters/{uuid:cluster}", response={202: ClusterOut},
               summary="Kill all of its machines")  # fmt: skip
def kill_cluster(request: ApiRequest, cluster: UUID) -> Status[Cluster]:
    """Its network goes, too. A master that was there before it stays."""
    actions.kill_cluster(_find(request, cluster, "kill_cluster"), by=request.user)
    return Status(202, _find(request, cluster))
