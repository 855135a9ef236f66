"""What every request passes: who asks is noted, and gates that stand before every door."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.deprecation import MiddlewareMixin

from core.caller import Caller, caller
from registration import acting, actions
from registration.doors import address_of
from registration.gates import GATES
from registration.models import User
from registration.sessions import SEEN_EVERY, note_seen


def door_of(path: str) -> str:
    """The kind of door that a path belongs to, as the audit names it."""
    return {"api": "api", "live": "live"}.get(path.strip("/").partition("/")[0], "page")


class CallerMiddleware(MiddlewareMixin):
    """Note who asks and where from; while an administrator acts for somebody, put them there."""

    def process_request(self, request: HttpRequest) -> None:
        known = Caller(door=door_of(request.path), address=address_of(request))
        caller.set(known)
        if administrator := acting.take_place(request):
            caller.set(replace(known, administrator=administrator.pk, acts_as=request.user.pk))
        elif (person := acting.over(request)) and request.user.is_authenticated:
            actions.stop_acting(person, by=request.user, reason=acting.OVER)

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        administrator = acting.who_acts(request)
        if administrator and acting.KEY not in request.session:  # signed out meanwhile
            person = request.acts_for  # type: ignore[attr-defined]
            actions.stop_acting(person, by=administrator, reason="Signed out.")
            person.announce()
        caller.set(Caller())
        return response


class GateMiddleware(MiddlewareMixin):
    """The first gate that answers closes the door; the person reads why and how to go on."""

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: Any, kwargs: Any
    ) -> HttpResponse | None:
        # The API knows people by tokens alone, and asks the gates when it has read one.
        if not request.user.is_authenticated or door_of(request.path) == "api":
            return None
        for gate in GATES:
            if answer := gate(request):
                return answer
        return None


class SeenMiddleware(MiddlewareMixin):
    """Write down, now and then, that a person is here."""

    def process_request(self, request: HttpRequest) -> None:
        user = acting.who_acts(request) or request.user
        if not user.is_authenticated:
            return
        now = timezone.now()
        if user.last_seen_at is None or user.last_seen_at < now - SEEN_EVERY:
            User.objects.filter(pk=user.pk).update(last_seen_at=now)
        note_seen(request, now)
