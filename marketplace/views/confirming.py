"""The page behind the link of a mail: whoever reads that mail answers, signed in or not."""

import uuid
from collections.abc import Callable, Mapping

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
    refusal = ""
    if request.method == "POST":
        refusal = _answer(request.POST.get("answer", ""), key, token)
        pending = confirming.asked(key, token)
    status = UNPROCESSABLE if refusal else 200
    return render(request, _PAGE, _context(pending, token, refusal), status=status)


@sensitive_variables("token")
def _answer(answer: str, key: uuid.UUID, token: str) -> str:
    """Do it; the sentence that says why not, or ""."""
    if answer not in _ACTS:
        raise Http404
    try:
        _ACTS[answer](key, token)
    except Broken as broken:
        return str(broken)
    except Refused as refused:
        return str(refused)
    return ""


@sensitive_variables("token")
def _context(pending: Pending, token: str, refusal: str) -> dict[str, object]:
    return {
        "pending": pending,
        "token": token,
        "refusal": refusal,
        "can_answer": confirming.can_answer(pending),
        "until": pending.state_since + PENDING_FOR,
        "entry": judge(bytes(pending.xml)).preview(),
    }
