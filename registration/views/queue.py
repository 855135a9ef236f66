"""Who asked to be let in, and what the administrators say."""

import uuid
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST, require_safe

from core.errors import Refused
from core.http import is_fragment
from registration import actions, names, policies
from registration.applicants import Applicant, applicants, waiting_domains
from registration.doors import UserRequest, administrators_only, find_or_404, path_to
from registration.forms.moderation import reason_of
from registration.forms.quota import limit_fields, limits_of
from registration.models import ReasonTemplate, User, UserQuerySet, Waiting
from registration.states import AccountState
from registration.views import moderating

QUEUE = moderating.Queue(
    kind="account",
    what="registrations",
    page="registration:queue",
    row="registration:row",
    row_template="registration/_row.html",
    decide="registration:decide",
    decide_many="registration:decide_many",
    columns=("Person", "Request", "State"),
    yes=("approve", "Approve"),
    no=("reject", "Reject"),
    undo={"approve": "take_back", "reject": "reconsider"},
    done={
        "approve": "is approved and may sign in",
        "reject": "is rejected",
        "vouch": "waits for an approval; the address counts as confirmed",
        "reconsider": "waits again",
        "take_back": "waits again",
    },
)


@administrators_only
@require_safe
def index(request: UserRequest) -> HttpResponse:
    people, states = _states(request)
    if moderating.is_about_states(request):
        return render(request, "components/_moderation_states.html", states)
    template = "registration/_queue.html" if is_fragment(request) else "registration/queue.html"
    return render(request, template, states | _list(request, people, states))


def _states(request: UserRequest) -> tuple[UserQuerySet, dict[str, Any]]:
    """Whom the search and the domain leave, and how many of them are in each state."""
    text = names.one_line(request.GET.get("q", ""))[:100]
    domain = names.one_line(request.GET.get("domain", ""))[:253].strip("@ ").lower()
    people = User.objects.visible_to(request.user).search(text)
    if domain:
        people = people.filter(email__iendswith=f"@{domain}")
    wanted = request.GET.get("state", AccountState.CONFIRMED)
    states = moderating.states_context(
        QUEUE, [AccountState.CONFIRMED, *AccountState], people.count_by_state(), wanted
    )
    chosen = {"q": text, "domain": domain}
    chips = urlencode({key: value for key, value in chosen.items() if value})
    return people, states | chosen | {"chips": chips, "is_filtered": bool(chips)}


def _list(request: UserRequest, people: UserQuerySet, states: dict[str, Any]) -> dict[str, Any]:
    wanted = states["wanted"]
    rows = people.waiting_first()
    if wanted != moderating.EVERY_STATE:
        order = ("asked_at", "pk") if wanted == AccountState.CONFIRMED else ("-state_since", "-pk")
        rows = people.filter(state=wanted).order_by(*order)
    count = states["count"]
    context = moderating.list_context(request, QUEUE, rows, count=count, read=applicants)
    domains = [] if is_fragment(request) else waiting_domains()
    return context | {"domains": domains, **_around()}


def _around(typed: str = "") -> dict[str, Any]:
    """What each row is shown beside."""
    return {
        "reason_fields": moderating.reason_html(ReasonTemplate.objects.all(), typed),
        "limit_fields": moderating.limits_html(limit_fields(User().quota)),
        "current_policy": policies.current().version,
    }


def _row_context(request: UserRequest, key: uuid.UUID, typed: str = "") -> dict[str, Any]:
    person = find_or_404(User.objects.visible_to(request.user), request, uuid=key)
    return {"row": applicants([person])[0], "queue": QUEUE, "typed": typed, **_around(typed)}


@administrators_only
@require_safe
def row(request: UserRequest, uuid: uuid.UUID) -> HttpResponse:
    context = _row_context(request, uuid) | {"back": path_to(request, "")}
    return render(request, "registration/_row.html", context)


@administrators_only
@require_safe
def waiting(request: UserRequest) -> HttpResponse:
    """The numbers in the bar and beside the page."""
    return render(request, "components/_waiting.html", {"waiting": Waiting.now()})


@administrators_only
@require_POST
def decide(request: UserRequest, uuid: uuid.UUID, verb: str) -> HttpResponse:
    """Approve, reject, vouch for or undo: one request."""
    person = find_or_404(User.objects.visible_to(request.user), request, uuid=uuid)
    refusal = ""
    try:
        _act(request, verb, with_limits=True)(person)
    except Refused as refused:
        refusal = str(refused)
    context = _row_context(request, uuid, request.POST.get("reason", "") if refusal else "")
    return moderating.answer(request, QUEUE, verb, context, refusal=refusal)


@administrators_only
@require_POST
def decide_many(request: UserRequest) -> HttpResponse:
    """The same about everybody who is ticked, each for itself."""
    verb, _, extra = request.POST.get("verb", "").partition(" ")
    try:
        act = _act(request, verb, with_limits=extra == "with")
        keys = moderating.ticked(request)
    except Refused as refused:
        return moderating.refuse(request, QUEUE, refused)
    people = User.objects.visible_to(request.user).filter(uuid__in=keys).order_by("asked_at")
    done, refusals = moderating.each(people, act)
    return moderating.answer_many(
        request,
        QUEUE,
        verb,
        [Applicant(person=person) for person in done],
        [(Applicant(person=person), refused) for person, refused in refusals],
    )


def _act(request: UserRequest, verb: str, *, with_limits: bool) -> Callable[[User], None]:
    """What to do to a person, with whatever was written into the form."""
    by = request.user
    if verb == "approve":
        limits = limits_of(request.POST) if with_limits else None
        return partial(actions.approve, by=by, limits=limits)
    if verb == "reject":
        reason = reason_of(request.POST, ReasonTemplate.objects.all())
        return partial(actions.reject, by=by, reason=reason)
    others = {
        "vouch": actions.vouch,
        "reconsider": actions.reconsider,
        "take_back": actions.take_back,
    }
    if verb not in others:
        raise Http404
    return partial(others[verb], by=by)
