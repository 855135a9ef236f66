"""How a program says in whose name it asks: ``Authorization: Bearer slp_…``, and nothing else.

A session's cookie opens nothing here, so no page elsewhere can make a browser ask; that is why
the API needs no CSRF token.
"""

from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja.security import HttpBearer

from core.caller import Caller, caller
from registration import actions
from registration.doors import address_of
from registration.gates import GATES
from registration.gates.answers import SAFE
from registration.models import ApiToken, Scope


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
        for gate in GATES:
            if answer := gate(request):
                raise Closed(answer)
        return known
