"""How a program says in whose name it asks: ``Authorization: Bearer slp_…``, and nothing else.

A session's cookie opens nothing here, so no page elsewhere can make a browser ask; that is why
the API needs no CSRF token. ``person_or_program`` is for the few doors that take both, and
``anybody`` for those where a signed document speaks for itself.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware
from django.views.decorators.csrf import csrf_exempt
from ninja.security import HttpBearer

from core.caller import Caller, caller
from core.errors import Refused
from registration import acting, actions
from registration.doors import Door, address_of
from registration.gates import GATES
from registration.gates.answers import FOR_PROGRAMS, SAFE
from registration.models import ApiToken, Scope

P = ParamSpec("P")
UNAUTHORIZED, FORBIDDEN, TOO_MANY = 401, 403, 429


class ApiRequest(HttpRequest):
    user: Any
    auth: ApiToken


class Closed(Exception):
    """A gate has answered instead of the door."""

    def __init__(self, answer: HttpResponse) -> None:
        super().__init__(answer.status_code)
        self.answer = answer


class Bearer(HttpBearer):
    """The token's owner becomes the request's user; then the gates of every door are asked."""

    openapi_description = "An API token, made on the page API tokens of your account."

    def authenticate(self, request: HttpRequest, token: str) -> ApiToken:
        """Raises: Closed; Refused: those of ``use_token``."""
        address = address_of(request)
        # Whatever session came along with the token does not count.
        caller.set(Caller(door="api", address=address))
        request.administrator = None  # type: ignore[attr-defined]
        scope = Scope.READ if request.method in SAFE else Scope.WRITE
        known = actions.use_token(token, scope=scope, address=address)
        request.user = known.owner
        request.auth = known  # type: ignore[attr-defined]
        for gate in GATES:
            if answer := gate(request):
                raise Closed(answer)
        return known


class _Proof(CsrfViewMiddleware):
    """Django's proof that a page of ours asks, without its page that says no."""

    def _reject(self, request: HttpRequest, reason: str) -> HttpResponse:
        sentence = "This did not come from a page of this portal. Reload the page and try again."
        return say(sentence, FORBIDDEN)


_bearer = Bearer()
_proof = _Proof(lambda request: HttpResponse())


def say(sentence: str, status: int) -> HttpResponse:
    """A refusal for programs that show people what they read."""
    return HttpResponse(f"{sentence}\n", status=status, content_type="text/plain; charset=utf-8")


def person_or_program(
    view: Callable[Concatenate[Any, P], HttpResponseBase],
) -> "Door[P]":
    """A door for people by their session and for programs by their token; it says no in text.

    A session proves with a CSRF token that a page of ours asks. Everybody may ask for OPTIONS.
    """

    @wraps(view)
    def door(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        refusal = None if request.method == "OPTIONS" else _refusal(request)
        return refusal or view(request, *args, **kwargs)

    setattr(door, FOR_PROGRAMS, True)
    return csrf_exempt(door)  # type: ignore[return-value]


def anybody(
    view: Callable[Concatenate[Any, P], HttpResponseBase],
) -> "Door[P]":
    """A door for everybody, by token, by session, or in nobody's name; it says no in text.

    Who has a session proves with a CSRF token that a page of ours asks; nobody needs none.
    """

    @wraps(view)
    def door(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        refusal = _refusal(request) if _is_somebody(request) else None
        return refusal or view(request, *args, **kwargs)

    setattr(door, FOR_PROGRAMS, True)
    return csrf_exempt(door)  # type: ignore[return-value]


def _is_somebody(request: HttpRequest) -> bool:
    has_token = request.headers.get("Authorization", "").lower().startswith("bearer ")
    return has_token or request.user.is_authenticated


def _refusal(request: HttpRequest) -> HttpResponse | None:
    try:
        known = _bearer(request)
    except Closed as exc:
        return exc.answer
    except actions.BadToken as exc:
        return _ask_for_token(str(exc), 'Bearer realm="portal", error="invalid_token"')
    except Refused as exc:
        return say(str(exc), TOO_MANY if exc.code == "too_many_attempts" else FORBIDDEN)
    if known:
        return None
    if not request.user.is_authenticated:
        sentence = "Sign in, or send an API token: Authorization: Bearer slp_…."
        return _ask_for_token(sentence, 'Bearer realm="portal"')
    _proof.process_request(request)
    return _proof.process_view(request, HttpResponse, (), {})


def _ask_for_token(sentence: str, header: str) -> HttpResponse:
    answer = say(sentence, UNAUTHORIZED)
    answer["WWW-Authenticate"] = header
    return answer


def may_go_on(request: HttpRequest) -> bool:
    """Whether who asks could ask again now, for doors that stay open: the policy asked anew."""
    token = getattr(request, "auth", None)
    if isinstance(token, ApiToken):
        found = ApiToken.objects.select_related("owner").filter(pk=token.pk).first()
        return bool(found and found.is_good and found.owner.is_active)
    somebody = acting.behind(request.session.session_key or "")
    if somebody is None or somebody.user.pk != request.user.pk:
        return False
    administrator = acting.who_acts(request)
    return somebody.administrator == administrator
