"""Clusters: the order, the page of one, and their list."""

import uuid
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Count, Q
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core.errors import Refused
from core.http import UNPROCESSABLE, is_fragment, show
from marketplace.addresses import Elsewhere
from registration.doors import answers, find_or_404
from vms import actions, images, progress
from vms.actions.networks import lacking
from vms.batches.exports import FORMATS
from vms.clusters import STEPS, script
from vms.forms.clusters import IMAGE, ClusterForm
from vms.models import VM, CloudStatus, Cluster
from vms.states import ClusterState, VmState
from vms.views.door import UserRequest
from vms.views.images import about_image, source_of

ROWS = 25


@dataclass(frozen=True, slots=True)
class NodeLine:
    """A machine as a row of its cluster's page."""

    line: progress.Line
    name: str
    role: str
    address: str
    step: str  # in words; "" while it has said nothing
    is_set_up: bool
    status: int | None
    tail: str
    lost: str  # why the cluster goes on without it, or ended by it
    is_borrowed: bool

    @property
    def vm(self) -> VM:
        return self.line.vm


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: UserRequest) -> HttpResponse:
    if not request.GET.get("image", "").strip():
        messages.info(request, "Choose the image of the machines: its page has “Launch a cluster”.")
        return redirect("marketplace:catalogue")
    source = source_of(request)
    if isinstance(source, HttpResponse):
        return source
    if source.entry is None:  # a disk is no image
        raise Http404
    status = CloudStatus.objects.filter(cloud=settings.DEFAULT_CLOUD).first()
    buses = status.disk_buses if status else ()
    form = ClusterForm(answers(request), user=request.user, entry=source.entry, buses=buses)
    if form.is_valid() and (cluster := _launch(request, form)):
        return redirect(cluster)
    context = {
        "form": form,
        "entry": source.entry,
        **about_image(source.entry, request.user),
        "others": source.others,
        "quota": actions.machine_use(request.user),
        "lacking": lacking(settings.DEFAULT_CLOUD),
    }
    return render(
        request, "vms/new_cluster.html", context, status=UNPROCESSABLE if form.is_bound else 200
    )


def _launch(request: UserRequest, form: ClusterForm) -> Cluster | None:
    """The cluster that the form asks for, or None with the refusal on the form."""
    try:
        if form.cleaned_data["master_kind"] == IMAGE:
            form.master_entry = _named(request, form.cleaned_data["master_image"])
        return actions.launch_cluster(owner=request.user, order=form.order())
    except Refused as refused:
        form.add_error(refused.field if refused.field in form.fields else None, str(refused))
        return None


def _named(request: UserRequest, text: str) -> Any:
    """Raises: Refused: with the field of the master's image."""
    try:
        first, *_ = images.named(request, text, None)
    except Elsewhere:
        sentence = "This address is another site's: launch a machine of it once, then it is here."
        raise Refused("image_elsewhere", sentence, field="master_image") from None
    except Refused as refused:
        raise Refused(refused.code, str(refused), field="master_image") from None
    if first.refused:
        raise Refused(first.refused.code, str(first.refused), field="master_image")
    return first.entry


def find(request: UserRequest, key: uuid.UUID, *, verb: str = "") -> Cluster:
    """The cluster, if this user may see it; else a 404, and a line in the audit."""
    rows = Cluster.objects.visible_to(request.user).select_related("owner", "network")
    cluster: Cluster = find_or_404(rows, request, verb, uuid=key)
    return cluster


@login_required
@require_safe
def detail(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    template = "vms/_cluster.html" if is_fragment(request) else "vms/cluster.html"
    return render(request, template, _about(find(request, key)))


def _about(cluster: Cluster) -> dict[str, Any]:
    machines = list(VM.objects.filter(cluster=cluster).for_rows().order_by("node_number"))
    nics = list(cluster.network.nics.select_related("vm").order_by("pk"))
    addresses = {nic.vm_id: nic.address.partition("/")[0] for nic in nics}
    lines = [_line(cluster, vm, addresses.get(vm.pk, "")) for vm in machines]
    own = {vm.pk for vm in machines}
    mine = [line for line in lines if not line.is_borrowed]
    alive = [line for line in mine if line.vm.state != VmState.DONE]
    return {
        "cluster": cluster,
        "lines": lines,
        "done": sum(line.is_set_up for line in lines if not line.lost),
        "wanted": sum(not line.lost for line in lines),
        "lost": [line.name for line in lines if line.lost],
        "beside": sorted({nic.vm.name for nic in nics if nic.is_held and nic.vm_id not in own}),
        "alive": len(alive),
        "may_kill": cluster.state not in (ClusterState.ENDING, ClusterState.ENDED),
        "needs_script": cluster.is_borrowed and cluster.state in (
            ClusterState.STARTING, ClusterState.WIRING),
        "wishes": cluster.wanted,
        "formats": FORMATS.items(),
    }  # fmt: skip


def _line(cluster: Cluster, vm: VM, address: str) -> NodeLine:
    said = cluster.nodes.get(vm.token, {})
    step, number = said.get("step", ""), vm.node_number or 0
    return NodeLine(
        line=progress.line(vm),
        name=f"node{number + 1}",
        role="worker" if number else "master",
        address=address,
        step=STEPS.get(step, step),
        is_set_up=bool(said.get("done")),
        status=said.get("status") or None,
        tail=said.get("tail", ""),
        lost=said.get("dropped") or said.get("failed") or "",
        is_borrowed=vm.token == cluster.wishes.get("borrowed"),
    )


@login_required
@require_safe
def master_script(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    """What is run in a master that was there before its cluster. There is no private key in it."""
    cluster = find(request, key)
    if not cluster.is_borrowed:
        raise Http404
    plan = cluster.plan()
    if not plan.nodes or not plan.nodes[0].is_master:
        raise Http404
    answer = HttpResponse(
        script(plan, plan.master, is_borrowed=True), content_type="text/plain; charset=utf-8"
    )
    answer["Content-Disposition"] = 'attachment; filename="cluster-master.sh"'
    answer["Cache-Control"] = "no-store"
    return answer


@login_required
@require_POST
def kill(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    cluster, refusal = find(request, key, verb="kill_cluster"), ""
    try:
        actions.kill_cluster(cluster, by=request.user)
    except Refused as refused:
        refusal = str(refused)
    cluster = find(request, key)
    page = cluster.get_absolute_url()
    return show(request, "vms/_cluster.html", _about(cluster), page=page, refusal=refusal)


@login_required
@require_safe
def index(request: UserRequest) -> HttpResponse:
    """Clusters, the newest first."""
    template = "vms/_clusters.html" if is_fragment(request) else "vms/clusters.html"
    seen = Cluster.objects.visible_to(request.user).select_related("owner", "network")
    alive = Count("vms", filter=~Q(vms__state=VmState.DONE))
    rows = seen.annotate(machines=Count("vms"), alive=alive).order_by("-pk")
    context = {"page": Paginator(rows, ROWS).get_page(request.GET.get("page"))}
    return render(request, template, context)
