"""A disk of one that there is."""

import uuid

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from core import sizes
from core.errors import Refused
from core.http import UNPROCESSABLE
from registration.doors import answers
from volumes import actions, quota
from volumes.actions.copies import BECOMES
from volumes.asking import Situation, must
from volumes.forms.disk import CopyForm
from volumes.models import LONGEST_TAG, DiskType, Snapshot, Volume
from volumes.states import SnapshotState
from volumes.views.asking import Question, ask, crumbs_of, turned_away
from volumes.views.door import UserRequest, find


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def copy(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    volume = find(request, key, verb="copy")
    if away := turned_away(request, volume, "copy"):
        return away
    written = must(volume, "copy", by=request.user).being_written()
    form = _form(request, volume, is_written=bool(written))
    if written and "snapshot" not in form.fields:
        return _detach_first(request, volume, str(written))
    if form.is_valid():
        try:
            made = actions.copy(volume, by=request.user, **form.cleaned_data)
        except Refused as refused:
            form.refuse(refused)
        else:
            messages.success(request, f"{volume} is being copied. This is the page of the copy.")
            return redirect(made)
    question = Question(
        heading=f"Copy {volume}", submit="Copy it", notes=_what_it_means(request, volume)
    )
    return ask(request, volume, form, question)


def _detach_first(request: UserRequest, volume: Volume, why_not: str) -> HttpResponse:
    """Nothing to choose: it is being written to, and there is no snapshot of it."""
    situation = Situation.of(volume, request.user)
    context = {
        "volume": volume,
        "why_not": why_not,
        "may_snapshot": not situation.why_not("snapshot"),
        "crumbs": crumbs_of(volume),
    }
    status = UNPROCESSABLE if request.method == "POST" else 200
    return render(request, "volumes/copy_later.html", context, status=status)


def _form(request: UserRequest, volume: Volume, *, is_written: bool) -> CopyForm:
    snapshots = Snapshot.objects.none()
    if volume.owner_id == request.user.pk:
        snapshots = Snapshot.objects.filter(volume=volume, state=SnapshotState.READY)
    return CopyForm(
        answers(request),
        snapshots=snapshots,
        may_be_original=volume.type == DiskType.MACHINE_IMAGE_LIVE,
        chosen=request.GET.get("snapshot", ""),
        is_written=is_written,
        tag=f"Copy of {volume}"[:LONGEST_TAG],
    )


def _what_it_means(request: UserRequest, volume: Volume) -> list[str]:
    left = sizes.in_words(quota.bytes_left(request.user))
    size = sizes.in_words(volume.size_bytes)
    notes = [
        f"The copy is a disk of yours of {size}, whole and independent; you have {left} "
        "left in your quota. Where the site can, both share their bytes until one changes, and "
        "the copy is there at once.",
    ]
    if becomes := BECOMES.get(volume.type):
        notes.append(f"This is an original: its copy is “{becomes.label}”, ready to use.")
    situation = must(volume, "copy", by=request.user)
    if situation.writers:
        notes.append(
            "A machine may write to it meanwhile, so what is copied is one of its snapshots. To "
            "copy it as it is, detach it first."
        )
    return notes
