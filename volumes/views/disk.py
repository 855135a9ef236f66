"""One disk: its page, what is changed about it, and its size."""

import re
import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from core.errors import Refused
from core.http import is_fragment
from core.models import Outcome
from core.sizes import in_words
from registration.doors import answers
from volumes import actions, deeds, gates, history, meanings, quota
from volumes.actions.fetches import without_query
from volumes.asking import Situation
from volumes.forms.disk import ChangeForm, GrowForm
from volumes.models import Access, Arrival, Share, Snapshot, Visibility, Volume
from volumes.states import ARRIVING, SNAPSHOT_HOLDS, VOLUME_VERBS, SnapshotState, VolumeState
from volumes.views import fetching
from volumes.views.asking import Question, ask, turned_away
from volumes.views.door import UserRequest, find

V = VolumeState

#: There is no disk yet, or there never was one: nothing is attached or made of it.
NEVER_WAS = ARRIVING | {V.CREATING, V.CLEARING, V.FAILED}
#: How long the page says what the guest has to be told of a larger disk.
GROWN_TOLD = timedelta(days=7)
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,200}")
#: What the page asks for; why something cannot be asked stands where its button would be.
ASKED = (*VOLUME_VERBS, "delete_snapshot")


@login_required
@require_safe
def detail(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    volume = find(request, key)
    template = "volumes/_detail.html" if is_fragment(request) else "volumes/detail.html"
    return render(request, template, _context(request, volume))


def _context(request: UserRequest, volume: Volume) -> dict[str, Any]:
    situation = Situation.of(volume, request.user)
    knows_all = request.user.is_staff or situation.access == Access.OWN
    events, has_more_events = history.of(volume, request.user)
    return {
        "volume": volume,
        "situation": situation,
        "knows_all": knows_all,
        "is_own": situation.access == Access.OWN,
        "why": {verb: situation.why_not(verb) for verb in ASKED},
        "is_arriving": volume.state in ARRIVING,
        "is_there": volume.state not in NEVER_WAS,
        "may_try_again": fetching.may_fetch_again(volume, request.user),
        "type_meaning": meanings.TYPES[volume.type],
        "events": events,
        "has_more_events": has_more_events,
        **_buttons(situation),
        **_origin(request, volume),
        "was_grown": _was_grown(volume, events),
        "grown_paths": _grown_paths(situation),
        **(_kept(volume) if knows_all else {}),
    }


def _was_grown(volume: Volume, events: Sequence[history.Happening]) -> bool:
    """Whether a guest may still have to hear that it is larger."""
    sized = (one.event for one in events if one.event.verb in ("grow", "restore_snapshot"))
    last = next((event for event in sized if event.outcome != Outcome.DENIED), None)
    if last is None or last.verb != "grow" or volume.state not in (V.AVAILABLE, V.IN_USE):
        return False
    return timezone.now() - last.at < GROWN_TOLD


def _buttons(situation: Situation) -> dict[str, Any]:
    found = deeds.of(situation)
    return {"deeds": found, "reasons": deeds.reasons(found)}


def _grown_paths(situation: Situation) -> dict[str, Any]:
    """What to type in the guest once the disk is larger than its file system."""
    paths = [holder.stable_path or holder.device for holder in situation.writers]
    path = next((path for path in paths if path), "")
    is_by_id = path.startswith("/dev/disk/")
    disk = path or "/dev/sdX"
    return {
        "is_known": bool(path),
        "whole": f"sudo resize2fs {disk}",
        "table": f"sudo growpart {disk} 1",
        "part": f"sudo resize2fs {disk}{'-part' if is_by_id else ''}1",
    }


def _origin(request: UserRequest, volume: Volume) -> dict[str, Any]:
    """Where it came from; a source that the reader may not see is not named."""
    source = None
    if volume.source_id:
        visible = Volume.objects.visible_to(request.user)
        source = visible.filter(pk=volume.source_id).first()
    arrival = getattr(volume, "arrival", None)
    return {
        "arrival": arrival,
        "bytes_total": volume.bytes_total or (arrival and arrival.length),
        "origin_url": without_query(arrival.url) if arrival else "",
        "source": source,
        "verify_command": f"echo '{volume.sha256}  {_file_name(arrival)}' | sha256sum --check",
    }


def _file_name(arrival: Arrival | None) -> str:
    """As the sender calls it, if that is safe in a shell and is not the packed file's name."""
    if arrival and not arrival.packing and _PLAIN_NAME.fullmatch(arrival.file_name):
        return arrival.file_name
    return "FILE"


def _kept(volume: Volume) -> dict[str, Any]:
    """What its owner keeps of it, and what that counts for."""
    snapshots = list(Snapshot.objects.exclude(state=SnapshotState.DELETED).filter(volume=volume))
    held = sum(one.size_bytes for one in snapshots if one.state in SNAPSHOT_HOLDS)
    limit = volume.owner.quota.disk_bytes
    return {
        "snapshots": snapshots,
        "most_snapshots": actions.MOST_SNAPSHOTS,
        "shares": list(Share.objects.filter(volume=volume).select_related("user", "group")),
        "counts_bytes": volume.size_bytes + held,
        "limit_bytes": limit,
    }


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def change(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    volume = find(request, key, verb="changed")
    if away := turned_away(request, volume, "change"):
        return away
    known = {name: getattr(volume, name) for name in actions.CHANGEABLE}
    form = ChangeForm(answers(request), initial=known, volume=volume)
    if form.is_valid():
        try:
            actions.change(volume, by=request.user, **form.cleaned_data)
        except Refused as refused:
            form.refuse(refused)
        else:
            messages.success(request, "The disk is changed.")
            return redirect(volume)
    question = Question(
        heading=f"Change {volume}", submit="Save", notes=_what_change_means(request, volume)
    )
    more = {"is_open": volume.is_open_image, "way": gates.way(request.user)}
    return ask(request, volume, form, question, template="volumes/change.html", **more)


def _what_change_means(request: UserRequest, volume: Volume) -> list[str]:
    holders = Situation.of(volume, request.user).holders
    notes = []
    others = sum(holder.vm.owner_id != volume.owner_id for holder in holders)
    if others and volume.visibility == Visibility.PUBLIC:
        machines = "1 machine of another person has" if others == 1 else (
            f"{others} machines of other people have"
        )  # fmt: skip
        notes.append(
            f"{machines} it now. If you make it private, they keep it until it is detached; "
            "nobody can attach it anew."
        )
    if holders:
        notes.append(
            "A machine has it: it can become read-only, or something for machines to boot from, "
            "once it is detached."
        )
    return notes


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def grow(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    volume = find(request, key, verb="grow")
    if away := turned_away(request, volume, "grow"):
        return away
    form = GrowForm(answers(request), volume=volume)
    if form.is_valid():
        try:
            actions.grow(volume, by=request.user, **form.cleaned_data)
        except Refused as refused:
            form.refuse(refused)
        else:
            messages.success(
                request, "You asked for a larger disk. When it is one, tell the guest."
            )
            return redirect(volume)
    left = in_words(quota.bytes_left(request.user))
    question = Question(
        heading=f"Make {volume} larger",
        submit="Make it larger",
        notes=(
            f"It has {in_words(volume.size_bytes)}, and your quota leaves you {left} "
            "more. A disk cannot become smaller again.",
            "What is on it stays. The partition and the file system in it keep their size until "
            "you make them larger in the guest: the disk's page shows the commands.",
        ),
    )
    return ask(request, volume, form, question)
