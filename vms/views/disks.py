"""Disks of machines: choose them, choose a machine for one, and take them back."""

import uuid
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Case, IntegerField, Q, QuerySet, Value, When
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from core.errors import Refused
from core.http import UNPROCESSABLE, query_without
from registration.doors import answers, find_or_404, path_to
from vms import disks
from vms.forms.plugs import MODES, READ, WRITE, PickDisksForm, PickMachineForm, PickPlugsForm
from vms.models import VM
from vms.views.door import UserRequest, find
from volumes.models import Attachment, Volume

ROWS = 25
#: Of refusals that several disks met, the first.
MOST_SAID = 5


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def choose(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    """Choose disks for a machine, and attach them."""
    vm = find(request, key, verb="attach" if request.method == "POST" else "")
    form = PickDisksForm(answers(request))
    if form.is_valid() and _attach_chosen(request, vm, form):
        return redirect(f"{vm.get_absolute_url()}#disks")
    context = _choices(request, vm) | {"form": form}
    status = UNPROCESSABLE if form.is_bound else 200
    return render(request, "vms/attach_disks.html", context, status=status)


def _attach_chosen(request: UserRequest, vm: VM, form: PickDisksForm) -> bool:
    """Whether any is on its way; what was refused stands as a message, or on the form."""
    chosen = Volume.objects.visible_to(request.user).select_related("owner")
    found = chosen.filter(uuid__in=form.cleaned_data["disk"]).order_by("pk")
    wanted = [(disk, form.is_read_only(disk.uuid)) for disk in found]
    done, refusals = disks.attach_many(wanted, vm, by=request.user)
    if not done:
        sentences = [str(refused) for refused in refusals[:MOST_SAID]]
        for sentence in sentences or ["None of these is a disk that you may see."]:
            form.add_error(None, sentence)
        return False
    _say(request, "Attaching", [str(row.volume) for row in done], refusals)
    return True


def _say(request: UserRequest, doing: str, names: list[str], refusals: list[Refused]) -> None:
    told = " and ".join(names) if len(names) < 3 else f"{len(names)} disks"
    messages.success(request, f"{doing} {told}.")
    for refused in refusals[:MOST_SAID]:
        messages.error(request, str(refused))


def _choices(request: UserRequest, vm: VM) -> dict[str, Any]:
    text = request.GET.get("q", "").strip()[:200]
    everything = _offered(request)
    page = Paginator(_search(everything, text), ROWS).get_page(request.GET.get("page"))
    held = vm.attachments.holding().count()
    refusal = disks.cannot_take(vm, disks.lacks_of(vm.cloud), disks=held)
    if vm.owner_id != request.user.pk:
        refusal = Refused("not_yours", f"{vm} is not your machine: disks go into one's own.")
    return {
        "vm": vm,
        "page": page,
        "query": query_without(request, "page"),
        "choices": disks.choices(list(page.object_list), request.user, vm),
        "modes": MODES,
        "q": text,
        "total": everything.count(),
        "reason": str(refusal or ""),
        "ticked": set(request.POST.getlist("disk")) | set(request.GET.getlist("disk")),
        "reading": {
            name.removeprefix("mode-") for name, mode in request.POST.items() if mode == READ
        },
    }


def _offered(request: UserRequest) -> QuerySet[Volume]:
    """What this person may see and is a disk already: their own first, by tag."""
    whose = Case(When(owner=request.user, then=0), default=Value(1), output_field=IntegerField())
    rows = Volume.objects.visible_to(request.user).listed().exclude(cloud_ref="")
    if request.user.is_staff:  # who sees everything may attach what others may
        mine = Volume.objects.shared_with(request.user) | Volume.objects.public_of_others(
            request.user
        )
        rows = rows.filter(Q(owner=request.user) | Q(pk__in=mine.values("pk")))
    return rows.select_related("owner").order_by(whose, "tag", "pk")


def _search(rows: QuerySet[Volume], text: str) -> QuerySet[Volume]:
    for word in text.split():
        rows = rows.filter(
            Q(tag__icontains=word) | Q(uuid__icontains=word) | Q(owner__username__icontains=word)
        )
    return rows


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def attach(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    """Choose a machine for a disk, and attach it."""
    visible = Volume.objects.visible_to(request.user).select_related("owner")
    verb = "attach" if request.method == "POST" else ""
    volume = find_or_404(visible, request, verb, uuid=key)
    form = PickMachineForm(answers(request))
    if form.is_valid() and (vm := _attach_to(request, volume, form)):
        messages.success(request, f"You asked to attach {volume} to {vm}.")
        return redirect(f"{vm.get_absolute_url()}#disks")
    takers = disks.takers(volume, request.user)
    choice = disks.choices([volume], request.user)[0]
    context = {
        "volume": volume,
        "form": form,
        "takers": takers,
        "any_takes": any(not taker.reason for taker in takers),
        "modes": [(WRITE, MODES[0][1], choice.write), (READ, MODES[1][1], choice.read)],
        "is_open": choice.is_open,
        "chosen_mode": _chosen_mode(form, choice),
        "chosen_vm": _chosen_machine(request, form, takers),
    }
    status = UNPROCESSABLE if form.is_bound else 200
    return render(request, "vms/attach_to.html", context, status=status)


def _attach_to(request: UserRequest, volume: Volume, form: PickMachineForm) -> VM | None:
    vm = VM.objects.filter(owner=request.user, uuid=form.cleaned_data["vm"]).first()
    if vm is None:
        form.add_error("vm", "None of your machines has this number. Choose one of the list.")
        return None
    try:
        read_only = form.cleaned_data["mode"] == READ
        disks.attach(volume, vm, by=request.user, read_only=read_only)
    except Refused as refused:
        form.add_error(None, str(refused))
        return None
    return vm


def _chosen_mode(form: PickMachineForm, choice: disks.Choice) -> str:
    asked = str(form["mode"].value() or "")
    if asked and not {WRITE: choice.write, READ: choice.read}.get(asked, "no"):
        return asked
    return READ if choice.write else WRITE


def _chosen_machine(request: UserRequest, form: PickMachineForm, takers: list[disks.Taker]) -> str:
    """The one that was asked for, or the only one there is to choose."""
    open_ones = [taker.vm.token for taker in takers if not taker.reason]
    asked = str(form["vm"].value() or request.GET.get("vm", ""))
    if asked in open_ones:
        return asked
    return open_ones[0] if len(open_ones) == 1 else ""


@login_required
@require_POST
def detach(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    """Take one disk out of a machine; with ``force`` the guest is not asked."""
    rows = Attachment.objects.visible_to(request.user).select_related("volume__owner", "vm__owner")
    row = find_or_404(rows, request, "detach", uuid=key)
    try:
        disks.detach(row, by=request.user, force=bool(request.POST.get("force")))
    except Refused as refused:
        messages.error(request, str(refused))
    return redirect(path_to(request, _page_of(row, request)))


def _page_of(row: Attachment, request: UserRequest) -> str:
    """Back to the machine; who may not see that goes back to the disk."""
    if request.user.is_staff or row.vm.owner_id == request.user.pk:
        return f"{row.vm.get_absolute_url()}#disks"
    return row.volume.get_absolute_url()


@login_required
@require_POST
def detach_many(request: UserRequest) -> HttpResponse:
    """Take several disks out at once, of one machine or of many."""
    form = PickPlugsForm(request.POST)
    page = path_to(request, reverse("volumes:list"))
    if not form.is_valid():
        messages.error(request, "Choose the disks that are to be detached.")
        return redirect(page)
    visible = Attachment.objects.visible_to(request.user).select_related(
        "volume__owner", "vm__owner"
    )
    rows = list(visible.filter(uuid__in=form.cleaned_data["plug"]).order_by("pk"))
    done, refusals = disks.detach_many(rows, by=request.user, force=form.cleaned_data["force"])
    if done:
        messages.success(request, f"Detaching {done} disk{'s' if done != 1 else ''}.")
    for refused in refusals[:MOST_SAID]:
        messages.error(request, str(refused))
    if not rows:
        messages.error(request, "None of these is a disk that you may detach.")
    return redirect(page)
