"""What a disk held at one time."""

import uuid

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_http_methods, require_POST

from core.errors import Refused
from core.sizes import in_words
from registration.doors import answers
from volumes import actions, quota
from volumes.asking import must
from volumes.forms.disk import RestoreForm, SnapshotForm
from volumes.models import Access, Snapshot, Volume
from volumes.states import SnapshotState
from volumes.views.asking import Question, ask, turned_away
from volumes.views.door import UserRequest, find


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def take(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    volume = find(request, key, verb="snapshot")
    if away := turned_away(request, volume, "snapshot"):
        return away
    form = SnapshotForm(answers(request))
    if form.is_valid():
        try:
            snapshot = actions.take_snapshot(volume, by=request.user, **form.cleaned_data)
        except Refused as refused:
            form.refuse(refused)
        else:
            messages.success(request, f"The snapshot {snapshot} is being taken.")
            return redirect(f"{volume.get_absolute_url()}#snapshots")
    question = Question(
        heading=f"Take a snapshot of {volume}",
        submit="Take the snapshot",
        notes=_what_it_means(request, volume),
    )
    return ask(request, volume, form, question)


def _what_it_means(request: UserRequest, volume: Volume) -> list[str]:
    left = in_words(quota.bytes_left(request.user))
    notes = [
        "A snapshot keeps what the disk holds now. You can go back to it, or copy it to a new "
        "disk.",
        f"In your quota it counts as much as the disk: {in_words(volume.size_bytes)}; "
        f"you have {left} left. At most {actions.MOST_SNAPSHOTS} of one disk.",
    ]
    situation = must(volume, "snapshot", by=request.user)
    if situation.writers:
        notes.append(
            f"{situation.machines} may be writing to it: the snapshot is what a power cut would "
            "leave. Run “sync” in the guest first, or better unmount it."
        )
    return notes


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def restore(request: UserRequest, key: uuid.UUID, snapshot: uuid.UUID) -> HttpResponse:
    volume, found = _find(request, key, snapshot, "restore_snapshot")
    if away := turned_away(request, volume, "restore_snapshot"):
        return away
    form = RestoreForm(answers(request), snapshot=found)
    if form.is_valid():
        try:
            actions.restore_snapshot(found, by=request.user, **form.cleaned_data)
        except Refused as refused:
            form.refuse(refused)
        else:
            messages.success(request, f"{volume} goes back to {found.name}.")
            return redirect(volume)
    question = Question(
        heading=f"Take {volume} back to {found.name}",
        submit="Go back to it",
        notes=_what_is_lost(volume, found),
        is_destructive=True,
    )
    return ask(request, volume, form, question)


def _what_is_lost(volume: Volume, found: Snapshot) -> list[str]:
    notes = [
        f"Everything written to {volume} since {found.created_at:%-d %B %Y, %H:%M} UTC is lost, "
        "for good. Take another snapshot first to keep it.",
        "Other snapshots stay, those taken later too.",
    ]
    if found.size_bytes != volume.size_bytes:
        notes.append(
            "The disk has grown since: it becomes as large as it was, "
            f"{in_words(found.size_bytes)}."
        )
    if found.was_in_use:
        notes.append("A machine was using the disk then: it is as after a power cut.")
    return notes


@login_required
@require_POST
def delete(request: UserRequest, key: uuid.UUID, snapshot: uuid.UUID) -> HttpResponse:
    volume, found = _find(request, key, snapshot, "snapshot_deleted")
    try:
        actions.delete_snapshot(found, by=request.user)
    except Refused as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, f"The snapshot {found.name} is being deleted.")
    return redirect(f"{volume.get_absolute_url()}#snapshots")


def _find(
    request: UserRequest, key: uuid.UUID, snapshot: uuid.UUID, verb: str
) -> tuple[Volume, Snapshot]:
    """Snapshots are the owner's: for others there are none. Administrators see and leave them."""
    volume = find(request, key, verb=verb)
    if volume.access_of(request.user) != Access.OWN and not request.user.is_staff:
        volume.record_denial(verb, by=request.user)
        raise Http404
    rows = Snapshot.objects.exclude(state=SnapshotState.DELETED).select_related("volume")
    return volume, get_object_or_404(rows, volume=volume, uuid=snapshot)
