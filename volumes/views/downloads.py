"""Files made of disks: ask for one, see how far it is, take it, remove it."""

import uuid
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Q
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core import serving
from core.errors import Refused
from core.http import UNPROCESSABLE, is_fragment
from registration.bearer import may_go_on, person_or_program
from registration.doors import answers, find_or_404, note_denial
from volumes import outgoing
from volumes.actions import downloads
from volumes.asking import Situation
from volumes.forms.downloads import DownloadForm
from volumes.models import Access, Export, ExportFormat, Snapshot, Volume
from volumes.states import ExportState, SnapshotState
from volumes.views.asking import crumbs_of
from volumes.views.door import UserRequest, find

TYPES = {
    ExportFormat.GZIP: "application/gzip",
    ExportFormat.ZSTD: "application/zstd",
}


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def index(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    """The downloads of a disk, and the form that asks for another."""
    volume = find(request, key, verb="download")
    if is_fragment(request) and request.method != "POST":
        context = {"volume": volume, "is_their_page": "page" in request.GET}
        return render(request, "volumes/_downloads.html", context)
    situation = Situation.of(volume, request.user)
    form = _form(request, volume, situation)
    if form.is_valid():
        try:
            made = downloads.ask_download(volume, by=request.user, **form.cleaned_data)
        except Refused as refused:
            form.refuse(refused)
        else:
            is_there = made.state == ExportState.READY
            said = "is there already" if is_there else "is being prepared"
            messages.success(request, f"The download {said}.")
            return redirect("volumes:downloads", volume.uuid)
    return _page(request, volume, situation, form)


def _form(request: UserRequest, volume: Volume, situation: Situation) -> DownloadForm:
    snapshots = Snapshot.objects.none()
    if situation.access == Access.OWN:
        snapshots = Snapshot.objects.filter(volume=volume, state=SnapshotState.READY)
    return DownloadForm(
        answers(request),
        snapshots=snapshots,
        chosen=request.GET.get("snapshot", ""),
        is_written=bool(situation.being_written()) and snapshots.exists(),
    )


def _page(
    request: UserRequest, volume: Volume, situation: Situation, form: DownloadForm
) -> HttpResponse:
    why_not = situation.why_not("download")
    written = situation.being_written()
    context: dict[str, Any] = {
        "volume": volume,
        "form": form,
        "why_not": why_not or ("" if not written or form.fields.get("snapshot") else str(written)),
        "is_written": bool(written),
        "may_snapshot": not why_not and not situation.why_not("snapshot"),
        "crumbs": crumbs_of(volume),
    }
    status = UNPROCESSABLE if form.is_bound else 200
    return render(request, "volumes/downloads.html", context, status=status)


@login_required
@require_safe
def row(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    """One download as it is now, without the page around it."""
    export = _mine(request, key)
    if export.state == ExportState.EXPIRED:
        raise Http404
    return render(request, "volumes/_download.html", {"export": export})


@login_required
@require_POST
def remove(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    mine_or_reading = Q(owner=request.user) | Q(
        volume__owner=request.user, state=ExportState.PREPARING
    )
    rows = Export.objects.filter(mine_or_reading).select_related("volume", "snapshot")
    export = find_or_404(rows, request, "download_remove", uuid=key)
    downloads.remove_download(export, by=request.user)
    messages.success(request, "The download is removed.")
    if Volume.objects.visible_to(request.user).filter(pk=export.volume_id).exists():
        return redirect("volumes:downloads", export.volume.uuid)
    return redirect("volumes:list")


@person_or_program
@require_safe
def file(request: UserRequest, key: uuid.UUID) -> HttpResponseBase:
    """The file: whole, or the range that was asked for. For a session, or an API token."""
    export = _mine(request, key, verb="download")
    if export.state != ExportState.READY or export.volume.access_of(request.user) is None:
        note_denial(export, "download", request)
        raise Http404
    wanted = serving.File(
        path=outgoing.file(export),
        name=outgoing.file_name(export),
        content_type=TYPES.get(ExportFormat(export.format), "application/octet-stream"),
        sha256=export.sha256,
    )
    try:
        return serving.answer(request, wanted, may_go_on=lambda: _may_go_on(request, export))
    except FileNotFoundError:
        raise Http404 from None


def _may_go_on(request: UserRequest, export: Export) -> bool:
    """Whether the file would be given now as well: a long one must not outlive that."""
    ready = Export.objects.filter(pk=export.pk, owner=request.user, state=ExportState.READY)
    now = ready.select_related("volume").first()
    return bool(now and now.volume.access_of(request.user) and may_go_on(request))


def _mine(request: UserRequest, key: uuid.UUID, *, verb: str = "") -> Export:
    """A download is whose who asked for it, and nobody else's: administrators see disks."""
    rows = Export.objects.filter(owner=request.user).select_related("volume", "snapshot")
    return find_or_404(rows, request, verb, uuid=key)
