"""Entries that wait to be opened to everybody, and what the administrators answer."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core.errors import Refused
from core.http import UNPROCESSABLE, is_fragment
from marketplace import actions, traces
from marketplace.forms.signing import AskPublicationForm
from marketplace.models import Entry, Inspection, Publication
from marketplace.pdisk import disks_of
from marketplace.states import PublicationState
from marketplace.views.about import about
from marketplace.views.endorsing import Question
from registration.doors import UserRequest, administrators_only, answers, find_or_404, path_to
from registration.models import ReasonTemplate
from registration.views import moderating

QUEUE = moderating.Queue(
    kind="publication",
    what="entries",
    page="marketplace:publications",
    row="marketplace:publication_row",
    row_template="marketplace/_publication_row.html",
    decide="marketplace:decide_publication",
    decide_many="marketplace:decide_publications",
    columns=("Entry", "Request", "State"),
    yes=("approve", "Approve"),
    no=("reject", "Reject"),
    undo={"reject": "reconsider"},
    done={
        "approve": "is open to everybody",
        "reject": "is rejected",
        "reconsider": "waits again",
    },
)


_PARTS = {"acts": "marketplace/_acts_live.html", "facts": "marketplace/_facts.html"}


@dataclass(slots=True, kw_only=True)
class Row:
    """A wish, with what was found in the disks of its image that this site has."""

    publication: Publication
    inspections: list[Inspection]

    @property
    def uuid(self) -> str:
        return str(self.publication.uuid)

    @property
    def name(self) -> str:
        return str(self.publication.entry)

    @property
    def verbs(self) -> frozenset[str]:
        return self.publication.verbs


def _rows(publications: list[Publication]) -> list[Row]:
    """Two queries, whatever their number."""
    disks = {one.pk: disks_of(one.entry.locations) for one in publications}
    wanted = {key for keys in disks.values() for key in keys}
    looked = Inspection.objects.filter(volume__uuid__in=wanted).select_related("volume")
    known = {one.volume.uuid: one for one in looked}
    return [
        Row(publication=one, inspections=[known[key] for key in disks[one.pk] if key in known])
        for one in publications
    ]


def _visible(request: UserRequest) -> QuerySet[Publication]:
    rows: QuerySet[Publication] = Publication.objects.visible_to(request.user)
    return rows.select_related("entry", "owner", "answered_by")


@administrators_only
@require_safe
def index(request: UserRequest) -> HttpResponse:
    wanted = request.GET.get("state", PublicationState.ASKED)
    counts = Publication.objects.visible_to(request.user).count_by_state()
    states = moderating.states_context(QUEUE, list(PublicationState), counts, wanted)
    if moderating.is_about_states(request):
        return render(request, "components/_moderation_states.html", states)
    rows = _visible(request).order_by("-state_since", "-pk")
    if states["wanted"] != moderating.EVERY_STATE:
        rows = rows.filter(state=wanted)
    if wanted == PublicationState.ASKED:
        rows = rows.order_by("created_at", "pk")
    context = moderating.list_context(request, QUEUE, rows, count=states["count"], read=_rows)
    context |= states | {"reason_fields": moderating.reason_html(ReasonTemplate.objects.all())}
    name = "_publications" if is_fragment(request) else "publications"
    return render(request, f"marketplace/{name}.html", context)


def _find(request: UserRequest, key: UUID, verb: str = "view") -> Publication:
    return find_or_404(_visible(request), request, verb, uuid=key)


def _row_context(request: UserRequest, key: UUID, typed: str = "") -> dict[str, Any]:
    (row,) = _rows([_find(request, key)])
    reasons = ReasonTemplate.objects.all()
    return {
        "row": row,
        "queue": QUEUE,
        "typed": typed,
        "reason_fields": moderating.reason_html(reasons, typed=typed),
    }


@administrators_only
@require_safe
def row(request: UserRequest, key: UUID) -> HttpResponse:
    context = _row_context(request, key) | {"back": path_to(request, "")}
    return render(request, "marketplace/_publication_row.html", context)


@administrators_only
@require_POST
def decide(request: UserRequest, key: UUID, verb: str) -> HttpResponse:
    """Approve, reject or undo: one wish."""
    publication = _find(request, key, verb)
    refusal = ""
    try:
        _act(request, verb)(publication)
    except Refused as refused:
        refusal = str(refused)
    typed = request.POST.get("reason", "") if refusal else ""
    context = _row_context(request, key, typed)
    return moderating.answer(request, QUEUE, verb, context, refusal=refusal)


@administrators_only
@require_POST
def decide_many(request: UserRequest) -> HttpResponse:
    """The same about every wish that is ticked, each for itself."""
    verb = request.POST.get("verb", "")
    try:
        act = _act(request, verb)
        keys = moderating.ticked(request)
    except Refused as refused:
        return moderating.refuse(request, QUEUE, refused)
    rows = _visible(request).filter(uuid__in=keys).order_by("created_at")
    done, refusals = moderating.each(rows, act)
    refused_rows = [(Row(publication=one, inspections=[]), refused) for one, refused in refusals]
    return moderating.answer_many(request, QUEUE, verb, _rows(done), refused_rows)


def _act(request: UserRequest, verb: str) -> Callable[[Publication], None]:
    if verb == "approve":
        return partial(actions.approve_publication, by=request.user)
    if verb == "reject":
        reason = request.POST.get("reason", "")
        return partial(actions.reject_publication, by=request.user, reason=reason)
    if verb == "reconsider":
        return partial(actions.reconsider_publication, by=request.user)
    raise Http404


@login_required
@require_safe
def publication(request: UserRequest, key: UUID) -> HttpResponse:
    """One wish: beside its entry, as a fragment; else the page of the entry.

    ``part``: what else of that page follows from it.
    """
    found = _find(request, key)
    if not is_fragment(request):
        return redirect(found.entry.permalink)
    if part := _PARTS.get(request.GET.get("part", "")):
        return render(request, part, about(request, found.entry) | {"publication": found})
    context = {"publication": found, "entry": found.entry}
    return render(request, "marketplace/_publication.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def ask(request: UserRequest, key: UUID) -> HttpResponse:
    """Ask, or ask again, that everybody may read an entry of one's own."""
    own = Entry.objects.filter(owner=request.user).select_related("said_again_of")
    entry = find_or_404(own, request, "asked", uuid=key)
    form = AskPublicationForm(answers(request), disks=traces.disks_to_look_into(entry))
    if form.is_valid():
        try:
            actions.ask_publication(entry, by=request.user, **form.cleaned_data)
        except Refused as refused:
            form.refuse(refused)
        else:
            messages.success(request, "An administrator is asked: you will get a mail.")
            return redirect(entry.permalink)
    context = {
        "entry": entry,
        "form": form,
        "question": Question(
            heading=f"Open {entry} to everybody",
            submit="Ask",
            told="",
            notes=("An administrator answers. Until then the entry stays as it is.",),
        ),
        "crumbs": [{"label": str(entry), "url": entry.permalink}],
    }
    status = UNPROCESSABLE if form.is_bound else 200
    return render(request, "marketplace/ask.html", context, status=status)


@login_required
@require_POST
def withdraw(request: UserRequest, key: UUID) -> HttpResponse:
    """Take one's own wish back."""
    own = Publication.objects.filter(owner=request.user).select_related("entry")
    publication = find_or_404(own, request, "withdrawn", uuid=key)
    try:
        actions.withdraw_publication(publication, by=request.user)
    except Refused as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, "The wish is withdrawn. The entry stays yours alone.")
    return redirect(publication.entry.permalink)
