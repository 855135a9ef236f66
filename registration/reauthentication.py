"""Proving again who one is, before what a stolen session must not be able to do.

A view asks for it with allauth's ``reauthentication_required``; a sign-in counts as a proof
for as long as a proof does. What was sent meanwhile is kept, sealed: it may hold a password.
"""

import json
import time
from typing import Any

from allauth.account.internal.flows.login import get_authentication_records
from allauth.core.exceptions import ReauthenticationRequired
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import resolve, reverse
from django.utils.deprecation import MiddlewareMixin
from django.utils.http import urlencode

from core.http import is_fragment
from registration import sealing
from registration.gates.answers import refuse

KEY = "suspended"
#: What was sent is kept up to this size; people send it again if it was larger.
LONGEST_KEPT = 64 * 1024


def is_fresh(request: HttpRequest) -> bool:
    """Whether this session proved who it is in the last minutes (the setting has seconds)."""
    records = get_authentication_records(request, request.user)
    latest: float = max((record["at"] for record in records), default=0.0)
    return time.time() - latest < settings.ACCOUNT_REAUTHENTICATION_TIMEOUT


def suspend(request: HttpRequest) -> HttpResponse:
    """Lead to the page that asks for a proof, and keep what was sent until it is given."""
    if is_fragment(request):
        return refuse("proof_needed", "Confirm first that it is you: reload this page.")
    path = request.get_full_path()
    request.session.pop(KEY, None)
    sent = request.POST.urlencode() if request.method == "POST" else ""
    if request.method == "POST" and len(sent) <= LONGEST_KEPT:
        request.session[KEY] = sealing.seal(json.dumps({"path": path, "post": sent}))
    there = urlencode({"next": path})
    return HttpResponseRedirect(f"{reverse('account_reauthenticate')}?{there}")


def resume(request: HttpRequest, there: str) -> HttpResponse:
    """Go on ``there``: with what was sent when it was suspended, if anything was."""
    kept = _kept(request)
    if kept is None or kept["path"] != there:
        return HttpResponseRedirect(there)
    path, _, query = there.partition("?")
    request.method = "POST"
    request.path = request.path_info = path
    request.GET = QueryDict(query)
    request.POST = QueryDict(kept["post"])
    request.META["QUERY_STRING"] = query
    match = request.resolver_match = resolve(path)
    response: HttpResponse = match.func(request, *match.args, **match.kwargs)
    return response


def _kept(request: HttpRequest) -> dict[str, str] | None:
    sealed = request.session.pop(KEY, None)
    try:
        return json.loads(sealing.unseal(sealed)) if sealed else None
    except sealing.Unreadable:
        return None


class ReauthenticationMiddleware(MiddlewareMixin):
    """Answer a view that wants a proof by asking for one."""

    def process_exception(self, request: HttpRequest, exception: Any) -> HttpResponse | None:
        if not isinstance(exception, ReauthenticationRequired):
            return None
        if not request.user.is_authenticated:
            there = urlencode({"next": request.get_full_path()})
            return HttpResponseRedirect(f"{reverse('login')}?{there}")
        return suspend(request)
