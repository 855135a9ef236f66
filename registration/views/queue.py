"""Who asked to be let in, and what the administrators said."""

import uuid
from typing import Any

from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from core.errors import Refused
from core.http import UNPROCESSABLE, is_fragment, show
from core.models import Event
from registration import actions, names
from registration.doors import UserRequest, administrators_only
from registration.forms.quota import QuotaForm
from registration.models import User, with_history
from registration.states import AccountState

ROWS = 25
EVENTS = 100


@administrators_only
@require_safe
def index(request: UserRequest) -> HttpResponse:
    template = "registration/_queue.html" if is_fragment(request) else "registration/queue.html"
    return render(request, template, _context(request))


def _context(request: UserRequest) -> dict[str, Any]:
    everybody = User.objects.visible_to(request.user)
    counts = everybody.count_by_state()
    wanted = request.GET.get("state", "")
    text = names.one_line(request.GET.get("q", ""))[:100]
    rows = everybody.search(text).waiting_first()
    if wanted in AccountState.values:
        rows = rows.filter(state=wanted)
    page = Paginator(rows, ROWS).get_page(request.GET.get("page"))
    page.object_list = with_history(list(page.object_list))
    query = request.GET.copy()
    query.pop("page", None)
    states = [(state.value, state.label, counts.get(state.value, 0)) for state in AccountState]
    return {
        "page": page,
        "query": query.urlencode(),
        "q": text,
        "wanted": wanted,
        "states": states,
        "total": sum(counts.values()),
    }


def _row_context(request: UserRequest, key: uuid.UUID) -> dict[str, Any]:
    person = get_object_or_404(User.objects.visible_to(request.user), uuid=key)
    return {"person": with_history([person])[0]}


@administrators_only
@require_safe
def row(request: UserRequest, uuid: uuid.UUID) -> HttpResponse:
    return render(request, "registration/_row.html", _row_context(request, uuid))


@administrators_only
@require_POST
def decide(request: UserRequest, uuid: uuid.UUID, verb: str) -> HttpResponse:
    """Approve, reject or reconsider one request."""
    person = get_object_or_404(User.objects.visible_to(request.user), uuid=uuid)
    refusal = ""
    try:
        _decide(request, person, verb)
    except Refused as refused:
        refusal = str(refused)
    context = _row_context(request, uuid) | {"typed": request.POST.get("reason", "")}
    page = reverse("registration:queue")
    return show(request, "registration/_row.html", context, page=page, refusal=refusal)


def _decide(request: UserRequest, person: User, verb: str) -> None:
    if verb == "approve":
        actions.approve(person, by=request.user)
    elif verb == "reject":
        actions.reject(person, by=request.user, reason=request.POST.get("reason", ""))
    elif verb == "reconsider":
        actions.reconsider(person, by=request.user)
    else:
        raise Http404


@administrators_only
@require_safe
def person(request: UserRequest, uuid: uuid.UUID) -> HttpResponse:
    found = get_object_or_404(User.objects.visible_to(request.user), uuid=uuid)
    return render(request, "registration/person.html", _person_context(found, QuotaForm.of(found)))


def _person_context(found: User, form: QuotaForm) -> dict[str, Any]:
    return {
        "person": with_history([found])[0],
        "keys": found.ssh_keys.all(),
        "history": _history(found),
        "form": form,
        "site_quota": User().quota,
        "crumbs": [{"label": "Registrations", "url": reverse("registration:queue")}],
    }


#: What the history calls an event, where its own word says too little.
_WORDS = {
    "moved": "went to",
    "denied": "was not let in",
    "registered": "asked for an account",
    "profile_changed": "changed the profile",
    "password_changed": "changed the password",
    "password_reset": "set a new password by a link",
    "reset_asked": "asked for a new password, or somebody did",
    "reset_cancelled": "cancelled a link to a new password",
    "signed_in": "signed in",
}


def _history(found: User) -> list[tuple[Event, str]]:
    events = Event.objects.of(found.uuid).select_related("by").order_by("-pk")[:EVENTS]
    labels = dict(AccountState.choices)
    told = []
    for event in events:
        words = _WORDS.get(event.verb, event.verb.replace("_", " "))
        if event.verb == "moved":
            words = f"{words} {labels.get(event.now, event.now)}"
        told.append((event, words))
    return told


@administrators_only
@require_POST
def quota(request: UserRequest, uuid: uuid.UUID) -> HttpResponse:
    """What this person may hold at the same time."""
    found = get_object_or_404(User.objects.visible_to(request.user), uuid=uuid)
    form = QuotaForm(request.POST)
    if form.is_valid():
        try:
            actions.set_quota(found, by=request.user, limits=form.cleaned_data)
        except Refused as refused:
            form.refuse(refused)
        else:
            return redirect("registration:person", uuid)
    context = _person_context(found, form)
    return render(request, "registration/person.html", context, status=UNPROCESSABLE)
