"""A new disk, and the end of one or several."""

import uuid
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Count, Prefetch, Q, Sum
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.html import format_html
from django.views.decorators.http import require_http_methods, require_POST

from core import sizes
from core.errors import Refused
from core.http import UNPROCESSABLE, is_fragment
from registration.doors import answers, note_denial
from registration.models import User
from volumes import actions, quota, table
from volumes.forms.making import CreateForm, TypedForm, phrase
from volumes.models import Share, Snapshot, Volume
from volumes.states import SNAPSHOT_HOLDS
from volumes.views.door import UserRequest, find
from volumes.views.listing import row_of

#: Disks that are asked for together, and refusals that are told one by one.
MOST_AT_ONCE, MOST_TOLD = 100, 5
LONGEST_QUERY = 1000
_NOT_THEIRS = "It is somebody else's disk: only its owner may do this."


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: UserRequest) -> HttpResponse:
    form = CreateForm(answers(request))
    if form.is_valid():
        try:
            volume = actions.create(owner=request.user, **form.cleaned_data)
        except Refused as refused:
            form.refuse(refused)
        else:
            return redirect(volume)
    status = UNPROCESSABLE if form.is_bound else 200
    return render(request, "volumes/new.html", _new_context(request.user, form), status=status)


def _new_context(user: User, form: CreateForm) -> dict[str, Any]:
    limit, held = user.quota.disk_bytes, quota.bytes_held(user)
    left = limit - held - form.size_bytes()
    return {
        "form": form,
        "limit_bytes": limit,
        "held_bytes": held,
        "free_bytes": max(0, limit - held),
        "left_bytes": left,
        "fits": left >= 0,
        "limit": sizes.in_gib(limit),
        "held": sizes.in_gib(held),
    }


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    return _end(request, [find(request, key, verb="delete")], "delete")


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def delete_many(request: UserRequest) -> HttpResponse:
    return _end(request, picked(request, "delete"), "delete")


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def purge(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    return _end(request, [find(request, key, verb="purge")], "purge")


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def purge_many(request: UserRequest) -> HttpResponse:
    return _end(request, picked(request, "purge"), "purge")


def picked(request: UserRequest, verb: str) -> list[Volume]:
    """The disks that were ticked, of those that this person may see; of others the audit hears."""
    keys = []
    for text in (request.POST or request.GET).getlist("disk")[:MOST_AT_ONCE]:
        try:
            keys.append(uuid.UUID(text))
        except ValueError:
            continue
    visible = Volume.objects.visible_to(request.user).filter(uuid__in=keys)
    found = list(visible.select_related("owner").order_by("-pk"))
    hidden = set(keys) - {volume.uuid for volume in found}
    for volume in Volume.objects.filter(uuid__in=hidden):
        note_denial(volume, verb, request)
    return found


def _end(request: UserRequest, volumes: Sequence[Volume], verb: str) -> HttpResponse:
    """Ask, saying what it means; at the second post, do it."""
    back = _came_with(request, verb)
    home = reverse("volumes:bin" if verb == "purge" else "volumes:list") + back
    rows = table.shown(_with_what_goes(volumes), request.user)
    if not rows:
        messages.error(request, "Choose at least one disk first.")
        return redirect(home)
    able = [row.volume for row in rows if verb in row.verbs]
    unable = [row for row in rows if verb not in row.verbs]
    is_typed = verb == "purge" or any(volume.holds_data for volume in able)
    wanted = phrase(able) if able and is_typed else ""
    form = TypedForm(answers(request), phrase=wanted)
    if able and form.is_valid():
        done, refusals = actions.ask_many(able, verb, by=request.user)
        tell(request, verb, done, refusals)
        return redirect(home)
    if form.is_bound:
        _note_denials(request, unable, verb)
    context = {
        "rows": [row for row in rows if verb in row.verbs],
        "unable": [(row, _why_not(row, verb)) for row in unable],
        "form": form,
        "phrase": wanted,
        "verb": verb,
        "days": settings.PORTAL_BIN_DAYS,
        "for_good": verb == "purge" or not settings.PORTAL_BIN_DAYS,
        "home": home,
        "back": back,
        "total_bytes": sum(volume.size_bytes for volume in able) + _kept_bytes(able),
    }
    status = UNPROCESSABLE if form.is_bound else 200
    return render(request, "volumes/end.html", context, status=status)


def _came_with(request: UserRequest, verb: str) -> str:
    """The tab, filters and page of the list that it was asked from, as "?…", or ""."""
    if request.method == "POST":
        query = request.POST.get("back", "").removeprefix("?")
    else:
        came = urlsplit(request.headers.get("Referer", ""))
        home = reverse("volumes:bin" if verb == "purge" else "volumes:list")
        query = came.query if came.path == home else ""
    return f"?{QueryDict(query[:LONGEST_QUERY]).urlencode()}" if query else ""


def _with_what_goes(volumes: Sequence[Volume]) -> list[Volume]:
    """The same disks with what goes with them: snapshots, shares, the file that came in."""
    held = Q(snapshots__state__in=SNAPSHOT_HOLDS)
    rows = (
        Volume.objects.filter(pk__in=[volume.pk for volume in volumes])
        .select_related("owner", "source", "arrival")
        .annotate(snapshot_count=Count("snapshots", filter=held))
        .prefetch_related(Prefetch("shares", Share.objects.select_related("user", "group")))
    )
    return list(rows.order_by("-pk"))


def _kept_bytes(volumes: Sequence[Volume]) -> int:
    """What their snapshots count for."""
    kept = Snapshot.objects.held().filter(volume__in=volumes)
    return int(kept.aggregate(n=Sum("size_bytes", default=0))["n"])


def _note_denials(request: UserRequest, unable: Sequence[table.Row], verb: str) -> None:
    for row in unable:
        if not row.may_ever_delete:
            row.volume.record_denial(verb, by=request.user, reason=_NOT_THEIRS)


def _why_not(row: table.Row, verb: str) -> str:
    if not row.may_ever_delete:
        return _NOT_THEIRS
    return row.why_not_delete or row.volume.meaning


def tell(request: UserRequest, verb: str, done: Sequence[Volume], refusals: Sequence[str]) -> None:
    """What was done, and what was refused, as messages of the next page."""
    if done:
        what = str(done[0]) if len(done) == 1 else f"{len(done)} disks"
        messages.success(request, _said(verb, what, done[0], many=len(done) > 1))
    for refusal in refusals[:MOST_TOLD]:
        messages.error(request, refusal)
    if len(refusals) > MOST_TOLD:
        messages.error(request, f"{len(refusals) - MOST_TOLD} more were refused.")


def _said(verb: str, what: str, first: Volume, *, many: bool) -> str:
    if verb == "delete" and "recover" in first.verbs:
        return format_html(
            'Deleted: {}. The <a href="{}">bin</a> keeps {} until {}.',
            what, reverse("volumes:bin"), "them" if many else "it",
            f"{first.purge_at:%-d %B %Y, %H:%M} UTC",
        )  # fmt: skip
    if verb == "recover":
        return format_html(
            'Out of the bin, as it was: {}. <a href="{}">Your disks</a>',
            what, reverse("volumes:list"),
        )  # fmt: skip
    return f"Deleted for good: {what}."


@login_required
@require_POST
def ask(request: UserRequest, key: uuid.UUID, verb: str) -> HttpResponse:
    """What asks no question first: cancel what arrives, dismiss what failed, restore."""
    volume = find(request, key, verb=verb)
    refusal = ""
    try:
        actions.VERBS[verb](volume, by=request.user)
    except Refused as refused:
        refusal = str(refused)
    if is_fragment(request) and (refusal or verb == "cancel") and request.POST.get("in") == "row":
        return row_of(request, volume, refusal)
    if refusal:
        messages.error(request, f"{volume}: {refusal}")
    elif verb == "recover":
        tell(request, verb, [volume], [])
    return redirect(_back(request, volume, verb))


def _back(request: UserRequest, volume: Volume, verb: str) -> str:
    """The page that it was asked from, with its filters, as far as we know it."""
    if request.POST.get("in") == "page" and verb != "dismiss":
        return volume.get_absolute_url()
    home = reverse("volumes:bin" if verb == "recover" else "volumes:list")
    came = urlsplit(request.headers.get("Referer", ""))
    return f"{home}?{came.query}" if came.path == home and came.query else home
