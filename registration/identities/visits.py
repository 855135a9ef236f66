"""Where a visit to a provider is kept until the browser comes back.

Of who is signed in, in their session. Of a visitor, in a signed cookie: whoever only presses the
button must leave no line behind.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from allauth.socialaccount.internal import statekit
from django.conf import settings
from django.contrib.sessions.backends.signed_cookies import SessionStore
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from registration import throttle

#: What every browser takes as one cookie, in bytes.
LONGEST_COOKIE = 3800


def cookie() -> str:
    return f"provider-{settings.PORTAL_PORT}"


@contextmanager
def of_visitor(request: HttpRequest) -> Iterator[None]:
    """Inside, the session is what the visitor's cookie holds, and no line anywhere."""
    own = request.session
    request.session = SessionStore(request.COOKIES.get(cookie()))
    try:
        yield
    finally:
        request.session = own


def keep(answer: HttpResponse, states: dict[str, Any], provider_id: str) -> None:
    """Give the visitor the cookie to come back with, from another site."""
    while len(text := _signed(states)) > LONGEST_COOKIE and len(states) > 1:
        del states[min(states, key=lambda each: states[each][1])]  # begun first
    answer.set_cookie(
        cookie(),
        text,
        max_age=statekit.STATE_TTL,
        path=reverse("openid_connect_login", args=[provider_id]),
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def _signed(states: dict[str, Any]) -> str:
    store = SessionStore()
    store[statekit.STATES_SESSION_KEY] = states
    store.save()
    return str(store.session_key)


def take(request: HttpRequest, state_id: str, provider_id: str) -> dict[str, Any] | None:
    """The visit that a visitor comes back from, once: a cookie can be sent again and again."""
    with of_visitor(request):
        state = statekit.unstash_state(request, state_id=state_id, provider_id=provider_id)
    if state is None or throttle.take(1, "provider state", state_id):
        return None
    return state
