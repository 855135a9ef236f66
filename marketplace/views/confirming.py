"""The page behind the link of a mail: whoever reads that mail answers, signed in or not."""

import uuid
from collections.abc import Callable, Mapping
from functools import partial

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods

from core.errors import Refused
from core.http import UNPROCESSABLE
from marketplace.actions import confirming
from marketplace.documents import Broken
from marketplace.judging import judge
from marketplace.models import Pending
from marketplace.states import PENDING_FOR

_PAGE = "marketplace/confirm.html"
_ACTS: Mapping[str, Callable[[uuid.UUID, str], object]] = {
    "yes": confirming.confirm_document,
    "no": confirming.refuse_document,
    "abuse": confirming.report_document,
}


@sensitive_variables("token")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def confirm(request: HttpRequest, key: uuid.UUID, token: str) -> HttpResponse:
    """Opening it changes nothing: mail scanners open links too."""
    try:
        pending = confirming.asked(key, token)
    except Refused as refused:
        context = {"refusal": str(refused)}
        return render(request, "marketplace/confirm_spent.html", context, status=404)
    refusal: Refused | Broken | None = None
    if request.method == "POST":
        refusal = _answer(request, key, token)
        pending = confirming.asked(key, token)
    status = UNPROCESSABLE if refusal else 200
    return render(request, _PAGE, _context(pending, token, refusal), status=status)


@sensitive_variables("token")
def _answer(request: HttpRequest, key: uuid.UUID, token: str) -> Refused | Broken | None:
    """Do it; why not, or None."""
    act = _ACTS.get(request.POST.get("answer", ""))
    if act is None:
        raise Http404
    if act is confirming.confirm_document:
        act = partial(confirming.confirm_document, knows="knows" in request.POST)
    try:
        act(key, token)
    except (Broken, Refused) as refusal:
        return refusal
    return None


@sensitive_variables("token")
def _context(pending: Pending, token: str, refusal: Refused | Broken | None) -> dict[str, object]:
    is_found = isinstance(refusal, Refused) and refusal.code == "hygiene_found"
    return {
        "pending": pending,
        "token": token,
        "refusal": str(refusal or ""),
        "must_know": is_found,
        "reports": confirming.reports_for(pending) if is_found else [],
        "can_answer": confirming.can_answer(pending),
        "until": pending.state_since + PENDING_FOR,
        "entry": judge(bytes(pending.xml)).preview(),
        "reach": confirming.reach_of(pending.entry) if pending.entry else "",
    }
