"""Asking for more quota, and what the administrators answer."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core.errors import Refused
from core.http import UNPROCESSABLE, is_fragment
from registration import actions
from registration.doors import UserRequest, administrators_only, answers, find_or_404, path_to
from registration.forms.quota import WishForm, limit_fields, limits_of
from registration.models import QuotaWish, limits_in_words
from registration.states import WishState
from registration.views import moderating

#: Of one's own wishes, so many are shown.
MOST_SHOWN = 20

QUEUE = moderating.Queue(
    kind="quota_wish",
    what="wishes",
    page="registration:wishes",
    row="registration:wish_row",
    row_template="registration/_wish_row.html",
    decide="registration:decide_wish",
    decide_many="registration:decide_wishes",
    columns=("Person", "Wish", "State"),
    yes=("grant", "Grant"),
    no=("decline", "Decline"),
    undo={"decline": "reconsider"},
    done={
        "grant": "is granted",
        "decline": "is declined",
        "reconsider": "waits again",
    },
)


@dataclass(slots=True, kw_only=True)
class Row:
    """A wish, with what its owner may hold now."""

    wish: QuotaWish

    @property
    def uuid(self) -> str:
        return str(self.wish.uuid)

    @property
    def name(self) -> str:
        return f"The wish of {self.wish.owner.get_full_name()}"

    @property
    def verbs(self) -> frozenset[str]:
        return self.wish.verbs

    @property
    def limit_fields(self) -> str:
        return moderating.limits_html(limit_fields(self.wish.owner.quota, self.wish.limits))

    @property
    def changes(self) -> list[tuple[str, str]]:
        """What is wished for, and what of it the person may hold now."""
        quota = self.wish.owner.quota
        return [
            (limits_in_words({name: wanted}), limits_in_words({name: getattr(quota, name)}))
            for name, wanted in self.wish.limits.items()
        ]


def _rows(wishes: list[QuotaWish]) -> list[Row]:
    return [Row(wish=wish) for wish in wishes]


@administrators_only
@require_safe
def index(request: UserRequest) -> HttpResponse:
    wishes = QuotaWish.objects.visible_to(request.user).select_related("owner")
    wanted = request.GET.get("state", WishState.WAITING)
    states = moderating.states_context(QUEUE, list(WishState), wishes.count_by_state(), wanted)
    if moderating.is_about_states(request):
        return render(request, "components/_moderation_states.html", states)
    rows = wishes.order_by("-state_since", "-pk")
    if states["wanted"] != moderating.EVERY_STATE:
        rows = rows.filter(state=wanted)
    if wanted == WishState.WAITING:
        rows = rows.order_by("created_at", "pk")
    context = moderating.list_context(request, QUEUE, rows, count=states["count"], read=_rows)
    context |= states | {"reason_fields": moderating.reason_html()}
    template = "registration/_wishes.html" if is_fragment(request) else "registration/wishes.html"
    return render(request, template, context)


def _find(request: UserRequest, key: uuid.UUID) -> QuotaWish:
    wishes = QuotaWish.objects.visible_to(request.user).select_related("owner")
    return find_or_404(wishes, request, uuid=key)


def _row_context(request: UserRequest, key: uuid.UUID, typed: str = "") -> dict[str, Any]:
    return {
        "row": Row(wish=_find(request, key)),
        "queue": QUEUE,
        "typed": typed,
        "reason_fields": moderating.reason_html(typed=typed),
    }


@administrators_only
@require_safe
def row(request: UserRequest, uuid: uuid.UUID) -> HttpResponse:
    context = _row_context(request, uuid) | {"back": path_to(request, "")}
    return render(request, "registration/_wish_row.html", context)


@administrators_only
@require_POST
def decide(request: UserRequest, uuid: uuid.UUID, verb: str) -> HttpResponse:
    """Grant, decline or undo: one wish."""
    wish = _find(request, uuid)
    refusal = ""
    try:
        _act(request, verb)(wish)
    except Refused as refused:
        refusal = str(refused)
    typed = request.POST.get("reason", "") if refusal else ""
    context = _row_context(request, uuid, typed)
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
    wishes = QuotaWish.objects.visible_to(request.user).select_related("owner")
    done, refusals = moderating.each(wishes.filter(uuid__in=keys).order_by("created_at"), act)
    refused_rows = [(Row(wish=wish), refused) for wish, refused in refusals]
    return moderating.answer_many(request, QUEUE, verb, _rows(done), refused_rows)


def _act(request: UserRequest, verb: str) -> Callable[[QuotaWish], None]:
    if verb == "grant":
        return partial(actions.grant_wish, by=request.user, limits=limits_of(request.POST))
    if verb == "decline":
        reason = request.POST.get("reason", "")
        return partial(actions.decline_wish, by=request.user, reason=reason)
    if verb == "reconsider":
        return partial(actions.reconsider_wish, by=request.user)
    raise Http404


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def ask(request: UserRequest) -> HttpResponse:
    """A person's own page: ask for more, and see what became of it."""
    form = WishForm(answers(request), quota=request.user.quota)
    if form.is_valid():
        try:
            actions.ask_for_more(
                request.user, limits=form.limits(), message=form.cleaned_data["message"]
            )
        except Refused as refused:
            form.refuse(refused)
        else:
            messages.success(request, "The administrators are asked. You get an e-mail.")
            return redirect("registration:wish")
    wishes = list(QuotaWish.objects.filter(owner=request.user).order_by("-pk")[:MOST_SHOWN])
    waiting = next((wish for wish in wishes if wish.state == WishState.WAITING), None)
    context = {
        "form": form,
        "quota": limit_fields(request.user.quota),
        "waiting_wish": waiting,
        "earlier": [wish for wish in wishes if wish is not waiting],
    }
    status = UNPROCESSABLE if form.is_bound else 200
    return render(request, "registration/wish.html", context, status=status)


@login_required
@require_POST
def withdraw(request: UserRequest, uuid: uuid.UUID) -> HttpResponse:
    own = QuotaWish.objects.filter(owner=request.user)
    wish = find_or_404(own, request, "wish_withdrawn", uuid=uuid)
    try:
        actions.withdraw_wish(wish, by=request.user)
    except Refused as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, "Your wish is withdrawn. Your quota stays as it is.")
    return redirect("registration:wish")
