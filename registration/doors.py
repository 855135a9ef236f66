"""Who is at the door: requests of people who are signed in, and pages for administrators."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from allauth.account.decorators import reauthentication_required
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, QueryDict
from django.http.response import HttpResponseBase

from core.http import safe_next
from registration.models import User

P = ParamSpec("P")


class UserRequest(HttpRequest):
    user: User


View = Callable[Concatenate[UserRequest, P], HttpResponseBase]
#: What the URLs name.
Door = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def proof_first(view: "View[P]") -> "View[P]":
    """Before the view is used, the person proves again who they are, if it is a while ago."""
    guarded: View[P] = reauthentication_required(view)
    return guarded


def administrators_only(view: "View[P]") -> "Door[P]":
    """Sign in first; for everybody else the page does not exist."""

    @wraps(view)
    def guarded(request: UserRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if not request.user.is_staff:
            raise Http404
        return view(request, *args, **kwargs)

    return login_required(guarded)  # type: ignore[return-value]


def answers(request: HttpRequest) -> QueryDict | None:
    """What was filled in; None when the form is only looked at, even if nothing was."""
    return request.POST if request.method == "POST" else None


def path_to(request: HttpRequest, default: str) -> str:
    """Where to go on, if it is a path of this site; else ``default``. Never a view's name."""
    url = safe_next(request, default)
    return url if url.startswith("/") else default


def address_of(request: HttpRequest) -> str:
    """Where the request comes from, as the server in front of us saw it."""
    return str(request.META.get("REMOTE_ADDR", ""))
