"""Who did what: everything for administrators, their own for everybody else."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from core.http import csv_answer
from core.models import Event, EventQuerySet
from portal import trail, words
from portal.forms import AuditForm, FilterForm
from registration.doors import UserRequest, administrators_only

HEAD = (
    "time", "person", "on behalf of", "door", "address", "outcome", "kind", "uuid", "name",
    "owner", "action", "from", "to", "sentence", "reason", "changes", "reference",
)  # fmt: skip


@administrators_only
@require_safe
def everything(request: UserRequest) -> HttpResponse:
    """Who did what, newest first, for administrators."""
    form = AuditForm(request.GET)
    return _page(request, "portal/audit.html", form, _parts(form))


@administrators_only
@require_safe
def table(request: UserRequest) -> StreamingHttpResponse:
    """The same lines, all of them, as CSV."""
    found = trail.all_of(_parts(AuditForm(request.GET)))
    rows = _rows(found, request)
    return csv_answer(request, f"audit-{timezone.now():%Y-%m-%d}", rows)


def _parts(form: AuditForm) -> Sequence[EventQuerySet]:
    parts = [form.narrowed(Event.objects.all())]
    people = form.people() if form.is_valid() else None
    return parts if people is None else trail.about(parts, people)


@login_required
@require_safe
def own(request: UserRequest) -> HttpResponse:
    """What this person did, and what was done to what is theirs."""
    form = FilterForm(request.GET)
    parts = [form.narrowed(part) for part in trail.mine(request.user)]
    return _page(request, "portal/activity.html", form, parts)


def _page(
    request: UserRequest, template: str, form: FilterForm, parts: Sequence[EventQuerySet]
) -> HttpResponse:
    before = _line(request.GET.get("before", ""))
    events = trail.newest(parts, before=before, limit=trail.ROWS + 1)
    query = request.GET.copy()
    query.pop("before", None)
    context: dict[str, Any] = {
        "form": form,
        "is_filtered": form.is_valid() and form.is_used,
        "lines": trail.told(events[: trail.ROWS], reader=request.user),
        "oldest": events[trail.ROWS - 1] if len(events) > trail.ROWS else None,
        "is_first": before is None,
        "query": query.urlencode(),
        "doors": words.DOORS,
    }
    return render(request, template, context)


def _line(text: str) -> Event | None:
    """Where a page begins: below this line."""
    is_key = text.isascii() and text.isdigit() and len(text) < 19  # what a bigint holds
    return Event.objects.filter(pk=int(text)).first() if is_key else None


def _rows(events: Iterator[Event], request: UserRequest) -> Iterator[Sequence[object]]:
    yield HEAD
    for event in events:
        (line,) = trail.told([event], reader=request.user)
        changes = [f"{one.name}: {one.before} -> {one.after}" for one in line.changes]
        changes += [f"{name}: {value}" for name, value in line.notes]
        yield (
            event.at.isoformat(), event.by or "", event.on_behalf_of or "", event.door,
            event.address, event.outcome, event.kind, event.subject, event.subject_name,
            event.owner or "", event.verb, event.was, event.now, trail.sentence(line),
            event.reason, "; ".join(changes), event.reference,
        )  # fmt: skip
