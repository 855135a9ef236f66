"""One user: everything about them, and what administrators do with an account."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core.errors import Refused
from core.http import UNPROCESSABLE
from core.models import Event
from registration import acting, actions, holdings, sessions
from registration.applicants import applicants
from registration.doors import (
    UserRequest,
    administrators_only,
    answers,
    find_or_404,
    proof_first,
)
from registration.forms.accounts import ActForm, CloseForm, SuspendForm
from registration.forms.base import Form
from registration.forms.quota import QuotaForm, shown
from registration.models import QuotaWish, User
from registration.states import AccountState
from vms.actions import quota_use
from vms.models import VM
from volumes.models import Volume

EVENTS = 30
ROWS = 20


def _find(request: UserRequest, key: uuid.UUID) -> User:
    found: User = find_or_404(User.objects.visible_to(request.user), request, uuid=key)
    return found


@administrators_only
@require_safe
def detail(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    return _page(request, _find(request, key))


def _page(request: UserRequest, person: User, **forms: Form) -> HttpResponse:
    """The page; a form that was refused comes in ``forms`` and makes it a 422."""
    machines = VM.objects.filter(owner=person)
    disks = Volume.objects.filter(owner=person).held().order_by("-pk")
    context = {
        "person": person,
        "row": applicants([person])[0],
        "is_oneself": person.pk == request.user.pk,
        "use": quota_use(person),
        "site_quota": shown(asdict(User().quota)),
        "quota_form": QuotaForm.of(person),
        "suspend_form": SuspendForm(prefix="suspend"),
        "act_form": ActForm(prefix="act"),
        "machines": machines.alive().for_rows()[:ROWS],
        "machine_count": machines.count(),
        "disks": disks[:ROWS],
        "disk_count": disks.count(),
        "keys": person.ssh_keys.all(),
        "tokens": person.api_tokens.good(),
        "memberships": person.memberships.select_related("group"),
        "session_count": sessions.of(person).count(),
        "wishes": QuotaWish.objects.filter(owner=person).order_by("-pk")[:ROWS],
        "can_reset_second_factor": actions.has_second_factor(person),
        "history": history(person),
        "crumbs": [{"label": "Users", "url": reverse("vms:people")}],
        **forms,
    }
    return render(request, "vms/person.html", context, status=UNPROCESSABLE if forms else 200)


#: What the history calls an event, where its own word says too little.
_WORDS = {
    "registered": "asked for an account",
    "password_reset": "set a new password by a link",
    "reset_asked": "asked for a new password, or somebody did",
    "reset_cancelled": "cancelled a link to a new password",
    "acting_started": "an administrator began to act as them",
    "acting_stopped": "the administrator stopped acting as them",
    "took_over": "took over what another account held",
}


def history(person: User) -> list[tuple[Event, str]]:
    """What happened to the account, the latest first, each with its words."""
    events = Event.objects.of(person.uuid).select_related("by", "on_behalf_of").order_by("-pk")
    labels = dict(AccountState.choices)
    told = []
    for event in events[:EVENTS]:
        words = _WORDS.get(event.verb, event.verb.replace("_", " "))
        if event.verb == "moved":
            words = f"became “{labels.get(event.now, event.now)}”"
        told.append((event, words))
    return told


def _ask(
    request: UserRequest, person: User, ask: Callable[[], object], done: str, *, form: str = "",
    **forms: Form,
) -> HttpResponse:  # fmt: skip
    """Do it and go back to the page; a refusal stands beside its form, or on top."""
    try:
        ask()
    except Refused as refused:
        if form:
            forms[form].refuse(refused)
            return _page(request, _find(request, person.uuid), **forms)
        messages.error(request, str(refused))
    else:
        messages.success(request, done)
    return redirect("vms:person", person.uuid)


@administrators_only
@require_POST
def quota(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    """What this person may hold at the same time."""
    person = _find(request, key)
    form = QuotaForm(request.POST)
    if not form.is_valid():
        return _page(request, person, quota_form=form)
    return _ask(
        request, person, lambda: actions.set_quota(person, by=request.user, limits=form.limits()),
        f"The quota of {person} is set.", form="quota_form", quota_form=form,
    )  # fmt: skip


@administrators_only
@require_POST
def suspend(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    person = _find(request, key)
    form = SuspendForm(request.POST, prefix="suspend")
    if not form.is_valid():
        return _page(request, person, suspend_form=form)
    return _ask(
        request, person, lambda: actions.suspend(person, by=request.user, **form.cleaned_data),
        f"The account {person} is suspended; they were told why.",
        form="suspend_form", suspend_form=form,
    )  # fmt: skip


@administrators_only
@require_POST
def resume(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    person = _find(request, key)
    done = f"The account {person} is active again; they were told."
    return _ask(request, person, lambda: actions.resume(person, by=request.user), done)


@administrators_only
@require_http_methods(["GET", "HEAD", "POST"])
def close(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    """Ask what becomes of what they hold, and close the account."""
    person = _find(request, key)
    if "close" not in person.verbs:
        messages.error(request, f"The account {person} is {person.get_state_display().lower()}.")
        return redirect("vms:person", person.uuid)
    held = holdings.of(person)
    form = CloseForm(answers(request), person=person, holds=bool(held))
    if form.is_valid():
        try:
            actions.close(person, by=request.user, **_close_answers(form.cleaned_data))
        except Refused as refused:
            form.refuse(refused)
        else:
            messages.success(request, f"The account {person} is closed; they were told why.")
            return redirect("vms:person", person.uuid)
    context = {
        "person": person,
        "held": held,
        "form": form,
        "crumbs": [
            {"label": "Users", "url": reverse("vms:people")},
            {"label": person.username, "url": reverse("vms:person", args=[person.uuid])},
        ],
    }
    status = UNPROCESSABLE if form.is_bound else 200
    return render(request, "vms/close_person.html", context, status=status)


def _close_answers(data: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "reason": data["reason"],
        "heir": data.get("heir"),
        "is_over_quota": bool(data.get("is_over_quota")),
    }


#: What is asked of an account without a form: the action, and what is said when it is done.
_PLAIN: Mapping[str, tuple[str, str]] = {
    "revoke-tokens": ("revoke_tokens", "Every API token of {} is revoked."),
    "sign-out": ("end_sessions", "{} is signed out everywhere."),
    "reset-second-factor": ("reset_second_factor", "{} signs in without a second factor now."),
    "make-administrator": ("make_administrator", "{} is an administrator now."),
    "revoke-administrator": ("revoke_administrator", "{} is no administrator any more."),
}


@administrators_only
@require_POST
@proof_first
def ask(request: UserRequest, key: uuid.UUID, verb: str) -> HttpResponse:
    """What touches how a person proves who they are, or what they may do."""
    person = _find(request, key)
    name, done = _PLAIN.get(verb, ("", ""))
    action = getattr(actions, name, None)
    if action is None:
        raise Http404
    return _ask(request, person, lambda: action(person, by=request.user), done.format(person))


@administrators_only
@require_POST
@proof_first
def act(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    """Stand in this person's place, to help."""
    person = _find(request, key)
    form = ActForm(request.POST, prefix="act")
    if form.is_valid():
        try:
            actions.act_as(person, by=request.user, reason=form.cleaned_data["reason"])
        except Refused as refused:
            form.refuse(refused)
        else:
            acting.start(request, person)
            return redirect("home")
    return _page(request, person, act_form=form)
