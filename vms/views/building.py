"""Images that are created by themselves: the order, the page of one, and their list."""

import uuid
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core.errors import Refused
from core.http import UNPROCESSABLE, is_fragment, show
from registration.doors import answers, find_or_404
from registration.models import User
from vms import actions, building
from vms.forms.building import BuildForm
from vms.lifecycle.listening import kept_log
from vms.models import Build, CloudStatus
from vms.states import StepState
from vms.views.door import UserRequest
from vms.views.images import Source, about_image, source_of

ROWS = 25
#: Of the log, on the page; the file has all that is kept.
SHOWN_BYTES = 96 << 10


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: UserRequest) -> HttpResponse:
    if not request.GET.get("image", "").strip():
        messages.info(request, "Choose the image to begin with: its page has “Build from it”.")
        return redirect("marketplace:catalogue")
    source = source_of(request)
    if isinstance(source, HttpResponse):
        return source
    form = _form(request, source)
    if form is None:  # a disk is no image
        raise Http404
    if form.is_valid() and (row := _build(request.user, form)):
        return redirect(row)
    context = {
        "form": form,
        "entry": source.entry,
        **about_image(source.entry, request.user),
        "others": source.others,
        "quota": actions.machine_use(request.user),
        "groups": form.offer.groups(),
    }
    return render(
        request, "vms/new_build.html", context, status=UNPROCESSABLE if form.is_bound else 200
    )


def _form(request: UserRequest, source: Source) -> BuildForm | None:
    if source.entry is None:
        return None
    status = CloudStatus.objects.filter(cloud=settings.DEFAULT_CLOUD).first()
    return BuildForm(
        answers(request),
        request.FILES,
        user=request.user,
        entry=source.entry,
        buses=status.disk_buses if status else (),
        again=_again(request),
    )


def _again(request: UserRequest) -> dict[str, Any]:
    """The recipe of a build that is tried again."""
    try:
        key = uuid.UUID(request.GET.get("from", ""))
    except ValueError:
        return {}
    row = find(request, key)
    limits = {"start_minutes": row.start_minutes, "step_minutes": row.step_minutes,
              "keep_running": row.keep_running}  # fmt: skip
    return {**row.recipe, **limits}


def _build(owner: User, form: BuildForm) -> Build | None:
    """The build that the form asks for, or None with the refusal on the form."""
    try:
        return actions.build(owner=owner, order=form.order())
    except Refused as refused:
        form.add_error(refused.field if refused.field in form.fields else None, str(refused))
        return None


def find(request: UserRequest, key: uuid.UUID, *, verb: str = "") -> Build:
    """The build, if this user may see it; else a 404, and a line in the audit."""
    rows = Build.objects.visible_to(request.user)
    rows = rows.select_related("vm__saving__entry", "base", "owner")
    found: Build = find_or_404(rows, request, verb, uuid=key)
    return found


@login_required
@require_safe
def detail(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    template = "vms/_build.html" if is_fragment(request) else "vms/build.html"
    return render(request, template, _about(find(request, key)))


def _about(row: Build) -> dict[str, Any]:
    steps = list(row.steps.all())
    return {
        "build": row,
        "steps": steps,
        "failed": next((step for step in steps if step.state == StepState.FAILED), None),
        "saving": row.saved_as,
        "may_cancel": actions.may_cancel(row),
        "may_save": actions.may_save(row),
    }


@login_required
@require_safe
def log(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    """What its machine has printed, made harmless: the end of it, or all that is kept as a file."""
    row = find(request, key)
    is_file = bool(request.GET.get("download"))
    kept = kept_log(row)
    answer = HttpResponse(
        building.clean(kept if is_file else kept[-SHOWN_BYTES:]),
        content_type="text/plain; charset=utf-8",
    )
    answer["Cache-Control"] = "no-store"
    if is_file:
        answer["Content-Disposition"] = f'attachment; filename="build-{row.token[:8]}.log"'
    return answer


@login_required
@require_POST
def cancel(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    return _ask(request, key, "cancel_build", actions.cancel_build)


@login_required
@require_POST
def save(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    return _ask(request, key, "save_build", actions.save_build)


def _ask(request: UserRequest, key: uuid.UUID, verb: str, act: Callable[..., None]) -> HttpResponse:
    row, refusal = find(request, key, verb=verb), ""
    try:
        act(row, by=request.user)
    except Refused as refused:
        refusal = str(refused)
    row = find(request, key)
    page = row.get_absolute_url()
    return show(request, "vms/_build.html", _about(row), page=page, refusal=refusal)


@login_required
@require_safe
def index(request: UserRequest) -> HttpResponse:
    template = "vms/_builds.html" if is_fragment(request) else "vms/builds.html"
    everything = Build.objects.visible_to(request.user)
    asked = request.GET.get("q", "").strip()[:200]
    rows = _search(everything, asked).select_related("base", "owner", "vm")
    query = request.GET.copy()
    query.pop("page", None)
    context = {
        "page": Paginator(rows, ROWS).get_page(request.GET.get("page")),
        "q": asked,
        "total": everything.count(),
        "query": query.urlencode(),
    }
    return render(request, template, context)


def _search(rows: Any, asked: str) -> Any:
    for word in asked.split():
        rows = rows.filter(
            Q(recipe__title__icontains=word)
            | Q(base__title__icontains=word)
            | Q(base__identifier__icontains=word)
            | Q(owner__username__icontains=word)
            | Q(uuid__icontains=word)
            | Q(state__iexact=word)
        )
    return rows
