"""Private networks: their list, the page of one, and machines' cards on them."""

import uuid
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Count, Q
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core.errors import Refused
from core.http import UNPROCESSABLE, is_fragment, show
from registration.doors import answers, find_or_404
from vms import actions
from vms.actions.networks import lacking
from vms.forms.networks import AttachForm, NetworkForm
from vms.models import Cluster, Network, Nic
from vms.states import NIC_HOLDS
from vms.views.door import UserRequest
from vms.views.door import find as find_machine
from vms.views.machine import answer

ROWS = 25


@login_required
@require_safe
def index(request: UserRequest) -> HttpResponse:
    template = "vms/_networks.html" if is_fragment(request) else "vms/networks.html"
    seen = Network.objects.visible_to(request.user).listed().select_related("owner")
    held = Count("nics", filter=Q(nics__state__in=sorted(NIC_HOLDS)))
    rows = seen.annotate(machines=held).order_by("name", "pk")
    page = Paginator(rows, ROWS).get_page(request.GET.get("page"))
    mine = Network.objects.listed().filter(owner=request.user).count()
    context = {"page": page, "mine": mine, "limit": settings.PORTAL_NETWORKS,
               "lacking": lacking(settings.DEFAULT_CLOUD)}  # fmt: skip
    return render(request, template, context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: UserRequest) -> HttpResponse:
    form = NetworkForm(answers(request))
    if form.is_valid():
        data = form.cleaned_data
        try:
            network = actions.create_network(
                owner=request.user, name=data["name"], create_key=data["create_key"]
            )
            return redirect(network)
        except Refused as refused:
            form.refuse(refused)
    context = {"form": form, "lacking": lacking(settings.DEFAULT_CLOUD)}
    status = UNPROCESSABLE if form.is_bound else 200
    return render(request, "vms/new_network.html", context, status=status)


@login_required
@require_safe
def detail(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    template = "vms/_network.html" if is_fragment(request) else "vms/network.html"
    return render(request, template, _about(find(request, key)))


def find(request: UserRequest, key: uuid.UUID, *, verb: str = "") -> Network:
    """The network, if this user may see it; else a 404, and a line in the audit."""
    rows = Network.objects.visible_to(request.user).select_related("owner")
    network: Network = find_or_404(rows, request, verb, uuid=key)
    return network


def _about(network: Network) -> dict[str, Any]:
    return {
        "network": network,
        "nics": network.nics.holding().select_related("vm__owner").order_by("pk"),
        "cluster": Cluster.objects.filter(network=network).order_by("-pk").first(),
    }


@login_required
@require_POST
def delete(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    network = find(request, key, verb="delete_network")
    try:
        actions.delete_network(network, by=request.user)
    except Refused as refused:
        network = find(request, key)
        page = network.get_absolute_url()
        return show(request, "vms/_network.html", _about(network), page=page, refusal=str(refused))
    messages.success(request, f"The network {network} is being removed.")
    return redirect("vms:networks")


@login_required
@require_POST
def attach(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    """Put a machine on one of its owner's networks."""
    vm = find_machine(request, key, verb="attach_nic")
    form = AttachForm(request.POST)
    refusal = ""
    try:
        if not form.is_valid():
            raise Refused("network_unknown", "Choose one of your networks.")
        network = find(request, form.cleaned_data["network"], verb="attach_nic")
        actions.attach_nic(vm, network, by=request.user)
    except Refused as refused:
        refusal = str(refused)
    return answer(request, key, refusal)


@login_required
@require_POST
def detach(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    """Take a card out of its machine."""
    nics = Nic.objects.select_related("vm__owner", "network")
    if not request.user.is_staff:
        nics = nics.filter(vm__owner=request.user)
    nic: Nic = find_or_404(nics, request, "detach_nic", uuid=key)
    refusal = ""
    try:
        actions.detach_nic(nic, by=request.user)
    except Refused as refused:
        refusal = str(refused)
    if request.POST.get("in") == "network":
        page = reverse("vms:network", args=[nic.network.uuid])
        network = find(request, nic.network.uuid)
        return show(request, "vms/_network.html", _about(network), page=page, refusal=refusal)
    return answer(request, nic.vm.uuid, refusal)
