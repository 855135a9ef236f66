"""The page that makes images of several disks at once."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from core.errors import Refused
from core.http import UNPROCESSABLE
from marketplace import documents
from marketplace.actions.registering import Registered, has_known_sums, register_disk
from marketplace.actions.saving import pen_to_save
from marketplace.forms.registering import AllForm, RowForm
from registration.doors import UserRequest, answers
from volumes.models import Volume
from volumes.states import VolumeState

MOST_AT_ONCE = 50


@dataclass(slots=True)
class Line:
    """One disk: its form, and what came of it."""

    form: RowForm
    is_known: bool  # its checksums: signed at once, else measured first
    made: Registered | None = None
    error: str = ""

    @property
    def volume(self) -> Volume:
        return self.form.volume


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def make_images(request: UserRequest) -> HttpResponse:
    """GET ``disk``, several: what would be said of each. POST: do it; each by itself."""
    disks, unable = _picked(request)
    if not disks:
        messages.error(request, "Choose disks of your own that are available.")
        return redirect("volumes:list")
    common = AllForm(answers(request), initial={"creator": request.user.get_full_name()})
    lines = [Line(_row(request, disk), has_known_sums(disk)) for disk in disks]
    is_sound = common.is_valid()
    if request.method == "POST":
        wrong = [line for line in lines if not line.form.is_valid()]
        is_sound = is_sound and not wrong
    if is_sound:
        refused = _make(request, lines, common.cleaned_data)
        if not refused:
            return _done(request, lines)
    context = {
        "lines": lines,
        "form": common,
        "unable": unable,
        "made": sum(line.made is not None for line in lines),
    }
    status = UNPROCESSABLE if request.method == "POST" else 200
    return render(request, "marketplace/make_images.html", context, status=status)


def _row(request: UserRequest, disk: Volume) -> RowForm:
    first = {"create_key": uuid.uuid4(), "title": str(disk)[:200]}
    return RowForm(answers(request), volume=disk, initial=first)


def _make(request: UserRequest, lines: Sequence[Line], common: Mapping[str, Any]) -> bool:
    """Whether any was refused; each refusal stands beside its disk, and the others go on."""
    pen, why_not = pen_to_save(request.user)
    for line in lines:
        if pen is None:
            line.error = why_not
            continue
        try:
            line.made = register_disk(
                line.volume,
                by=request.user,
                said=line.form.said(common),
                fields=line.form.answers(common),
                pen=pen,
                create_key=line.form.cleaned_data["create_key"],
            )
        except Refused as refused:
            line.error = str(refused)
        except documents.Broken as broken:
            line.error = str(broken)
    return any(line.error for line in lines)


def _done(request: UserRequest, lines: Sequence[Line]) -> HttpResponse:
    signed = sum(bool(line.made and line.made.entry) for line in lines)
    waiting = len(lines) - signed
    told = []
    if signed:
        told.append(f"{signed} image{'s' if signed > 1 else ''} published, to you alone.")
    if waiting:
        told.append(f"{waiting} measured first: sign {'it' if waiting == 1 else 'them'} then.")
    messages.success(request, " ".join(told))
    return redirect("marketplace:drafts" if waiting else "marketplace:catalogue")


def _picked(request: UserRequest) -> tuple[list[Volume], list[Volume]]:
    """Those that can become images now, and the others of one's own."""
    sent = request.POST if request.method == "POST" else request.GET
    keys = []
    for text in sent.getlist("disk")[:MOST_AT_ONCE]:
        try:
            keys.append(uuid.UUID(text))
        except ValueError:
            continue
    own = Volume.objects.filter(owner=request.user, uuid__in=keys).select_related("arrival")
    found: list[Any] = list(own.order_by("pk"))
    able = [disk for disk in found if disk.state == VolumeState.AVAILABLE]
    return able, [disk for disk in found if disk not in able]
