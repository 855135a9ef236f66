"""The pages of machines: find what the user may see, call one action, pick a template."""

import uuid
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import redirect_to_login
from django.core.paginator import Paginator
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from cloud.errors import CloudError
from core.errors import Refused
from core.http import UNPROCESSABLE, is_fragment, show
from core.models import Event
from marketplace.models import Entry, ImageFile
from registration import actions as registration
from registration.models import User
from vms import actions, console, grants, sampling, timeline
from vms.forms import BulkForm, InstanceTypeForm, LaunchForm
from vms.models import VM, CloudStatus, InstanceType
from vms.states import VM_MEANINGS, VmState

ROWS = 25
#: Sort words of the list, each a column and its fallback.
SORTS = {
    "id": ("pk",),
    "name": ("name", "pk"),
    "state": ("state", "-pk"),
    "cpu": ("cpu_percent", "-pk"),
    "memory": ("memory_mib", "-pk"),
    "age": ("-created_at",),
}


class UserRequest(HttpRequest):
    user: User


def _find(request: UserRequest, key: uuid.UUID) -> VM:
    """The machine, if this user may see it; else a 404."""
    return get_object_or_404(VM.objects.visible_to(request.user).for_rows(), uuid=key)


# The list ------------------------------------------------------------------------------


@login_required
@require_safe
def index(request: UserRequest) -> HttpResponse:
    template = "vms/_list.html" if is_fragment(request) else "vms/list.html"
    return render(request, template, _list_context(request))


def _list_context(request: UserRequest) -> dict[str, Any]:
    everything = VM.objects.visible_to(request.user)
    counts = dict(everything.values_list("state").annotate(Count("pk")))
    alive = sum(count for state, count in counts.items() if state != VmState.DONE)
    wanted = request.GET.get("state", "")
    text = request.GET.get("q", "").strip()[:200]
    rows = everything.for_rows().search(text)
    rows = rows.filter(state=wanted) if wanted in VmState.values else (
        rows if wanted == "all" else rows.alive()
    )  # fmt: skip
    if request.user.is_staff and request.GET.get("mine"):
        rows = rows.filter(owner=request.user)
    sort = request.GET.get("sort", "-id")
    rows = rows.order_by(*_order(sort))
    query = request.GET.copy()
    query.pop("page", None)
    return {
        "page": Paginator(rows, ROWS).get_page(request.GET.get("page")),
        "query": query.urlencode(),
        "q": text,
        "sort": sort,
        "state": wanted,
        "states": [(s.value, s.label, counts.get(s.value, 0)) for s in VmState],
        "alive": alive,
        "total": sum(counts.values()),
        "is_filtered": bool(text or wanted or request.GET.get("mine")),
        "mine": bool(request.GET.get("mine")),
    }


def _order(sort: str) -> tuple[str, ...]:
    columns = SORTS.get(sort.lstrip("-"), SORTS["id"])
    if sort.startswith("-"):
        return tuple(c[1:] if c.startswith("-") else f"-{c}" for c in columns)
    return columns


@login_required
@require_safe
def row(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    """One line of the list."""
    return render(request, "vms/_row.html", {"vm": _find(request, key)})


@login_required
@require_POST
def bulk(request: UserRequest) -> HttpResponse:
    """Shut down or kill a selection, or a pasted list of ids."""
    form = BulkForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Choose machines, and what is to happen to them.")
        return redirect("vms:list")
    vms = _chosen(request, form)
    done, refusals = actions.ask_many(vms, form.cleaned_data["verb"], by=request.user)
    verb = dict(form.fields["verb"].choices)[form.cleaned_data["verb"]]  # type: ignore[attr-defined]
    if done:
        messages.success(request, f"{verb}: asked of {done} machine{'s' if done != 1 else ''}.")
    for refused in refusals[:5]:
        messages.error(request, str(refused))
    if not vms:
        messages.error(request, "None of these ids names a machine of yours.")
    return redirect("vms:list")


def _chosen(request: UserRequest, form: BulkForm) -> list[VM]:
    mine = VM.objects.visible_to(request.user).for_rows()
    words = form.cleaned_data["ids"].replace(",", " ").split()
    numbers = [int(word) for word in words if word.isdigit() and len(word) < 18]
    by_uuid = mine.filter(uuid__in=form.cleaned_data["vm"])
    return list((by_uuid | mine.filter(pk__in=numbers)).distinct())


# Launch --------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
def launch(request: UserRequest) -> HttpResponse:
    if not request.user.is_authenticated:
        return redirect_to_login(request.get_full_path())
    identifier = request.GET.get("image", "")
    entry = (
        Entry.objects.visible_to(request.user).launchable().filter(identifier=identifier).first()
    )
    if entry is None:
        raise Http404
    status = CloudStatus.objects.filter(cloud=settings.DEFAULT_CLOUD).first()
    form = LaunchForm(
        request.POST or None,
        user=request.user,
        entry=entry,
        buses=status.disk_buses if status else [],
    )
    if form.is_valid():
        vm = _launch(request, form)
        if vm:
            return redirect(vm)
    context = _launch_context(request, form, entry, status)
    return render(
        request, "vms/launch.html", context, status=UNPROCESSABLE if form.is_bound else 200
    )


def _launch(request: UserRequest, form: LaunchForm) -> VM | None:
    """The machine that the form asks for, or None with the refusal on the form."""
    try:
        extra = _keep_key(request.user, form.cleaned_data["new_key"])
        vm = actions.launch(owner=request.user, order=form.order(extra_keys=extra))
    except Refused as refused:
        form.add_error(refused.field if refused.field in form.fields else None, str(refused))
        return None
    if not (form.cleaned_data["keys"] or extra or form.cleaned_data["without_key"]):
        messages.info(request, "No key was chosen, so your default SSH key was added.")
    return vm


def _keep_key(owner: User, line: str) -> list[str]:
    if not line.strip():
        return []
    try:
        return [registration.find_or_add_key(owner=owner, text=line).public_key]
    except Refused as refused:
        raise Refused(refused.code, str(refused), field="new_key") from None


def _launch_context(
    request: UserRequest, form: LaunchForm, entry: Entry, status: CloudStatus | None
) -> dict[str, Any]:
    use = actions.quota_use(request.user)
    sizes = []
    for size in InstanceType.objects.filter(is_offered=True):
        refusal = actions.over_quota(use, size)
        reason = actions.too_large(status, size) or (str(refusal) if refusal else "")
        sizes.append({"type": size, "reason": reason})
    return {
        "form": form,
        "entry": entry,
        "sizes": sizes,
        "chosen_size": str(form["type_name"].value() or ""),
        "quota": use,
        "status": status,
        "has_keys": request.user.ssh_keys.exists(),
        "any_fits": any(not size["reason"] for size in sizes),
    }


# One machine ---------------------------------------------------------------------------


@login_required
@require_safe
def detail(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    vm = _find(request, key)
    template = "vms/_detail.html" if is_fragment(request) else "vms/detail.html"
    return render(request, template, _detail_context(vm))


def _detail_context(vm: VM) -> dict[str, Any]:
    events = list(Event.objects.of(vm.uuid).select_related("by"))
    image = ImageFile.objects.filter(cloud=vm.cloud, identifier=vm.entry.identifier).first()
    started = timeline.running_since(events)
    return {
        "vm": vm,
        "events": events,
        "steps": timeline.steps(vm, events, image),
        "milestones": timeline.milestones(vm.readiness, started),
        "running_since": started,
        "attributes": sorted(vm.attributes.items()),
        "ssh_key_lines": vm.ssh_keys.splitlines(),
    }


def _ask(request: UserRequest, key: uuid.UUID, verb: str) -> HttpResponse:
    vm = _find(request, key)
    refusal = ""
    try:
        actions.VERBS[verb](vm, by=request.user)
    except Refused as refused:
        refusal = str(refused)
    vm = _find(request, key)
    if request.POST.get("in") == "row":
        return show(request, "vms/_row.html", {"vm": vm}, page=reverse("vms:list"), refusal=refusal)
    page = vm.get_absolute_url()
    return show(request, "vms/_detail.html", _detail_context(vm), page=page, refusal=refusal)


@login_required
@require_POST
def shut_down(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    return _ask(request, key, "shut_down")


@login_required
@require_POST
def reboot(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    return _ask(request, key, "reboot")


@login_required
@require_POST
def start(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    return _ask(request, key, "start")


@login_required
@require_POST
def kill(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    return _ask(request, key, "kill")


@login_required
@require_safe
def usage(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    """What the plots draw, as JSON."""
    vm = _find(request, key)
    return JsonResponse(sampling.series(vm.samples.order_by("at")))


# Consoles ------------------------------------------------------------------------------


@login_required
@require_safe
def console_page(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    kind = "serial" if request.GET.get("kind") == "serial" else "screen"
    return render(request, "vms/console.html", {"vm": _find(request, key), "kind": kind})


@login_required
@require_POST
def console_grant(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    """A single-use grant for the console gateway, as JSON."""
    vm = _find(request, key)
    kind = "serial" if request.POST.get("kind") == "serial" else "screen"
    if "console" not in vm.verbs:
        sentence = f"{vm} is {vm.get_state_display()}: it has no console now."
        return JsonResponse({"detail": sentence}, status=UNPROCESSABLE)
    session = request.session.session_key or ""
    grant = grants.Grant(request.user.pk, vm.token, kind, grants.digest(session))
    try:
        return JsonResponse({"grant": grants.give(grant), "path": console.PATH})
    except Refused as refused:
        return JsonResponse({"detail": str(refused)}, status=503)


@login_required
@require_safe
def console_log(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    """The end of the serial line's log, as plain text; the page makes it safe to look at."""
    vm = _find(request, key)
    if not vm.cloud_ref or vm.state == VmState.DONE:
        return HttpResponse("", content_type="text/plain; charset=utf-8")
    try:
        text = console.tail(vm).decode("utf-8", "replace")
    except CloudError as exc:
        return HttpResponse(str(exc), content_type="text/plain; charset=utf-8", status=503)
    return HttpResponse(text, content_type="text/plain; charset=utf-8")


# Sizes that the site offers --------------------------------------------------------------


@login_required
@require_safe
def types(request: UserRequest) -> HttpResponse:
    """Every size; administrators can change them."""
    sizes = InstanceType.objects.all() if request.user.is_staff else (
        InstanceType.objects.filter(is_offered=True)
    )  # fmt: skip
    return render(request, "vms/types.html", {"types": sizes, "meanings": VM_MEANINGS})


@login_required
@require_http_methods(["GET", "POST"])
def edit_type(request: UserRequest, name: str = "") -> HttpResponse:
    if not request.user.is_staff:
        raise Http404
    known = get_object_or_404(InstanceType, name=name) if name else InstanceType()
    form = InstanceTypeForm(request.POST or None, instance=known)
    if form.is_valid():
        actions.save_type(form.save(commit=False), by=request.user)
        messages.success(request, f"Size {form.instance.name} saved.")
        return redirect("vms:types")
    status = UNPROCESSABLE if form.is_bound else 200
    return render(request, "vms/type.html", {"form": form, "known": known}, status=status)
