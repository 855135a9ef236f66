"""Who is at the door: requests of people who are signed in, and pages for administrators."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar
from uuid import NAMESPACE_OID, NAMESPACE_URL, UUID, uuid5

from allauth.account.decorators import reauthentication_required
from django.contrib.auth.decorators import login_required
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, QueryDict
from django.http.response import HttpResponseBase

from core.http import safe_next
from core.models import NOTHING, deny
from registration.models import User

P = ParamSpec("P")
Row = TypeVar("Row", bound=Model)

SAFE = frozenset({"GET", "HEAD"})


class UserRequest(HttpRequest):
    user: User


View = Callable[Concatenate[UserRequest, P], HttpResponseBase]
#: What the URLs name.
Door = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def proof_first(view: "View[P]") -> "View[P]":
    """Before the view changes anything, the person proves again who they are, if that is a while
    ago."""
    guarded: View[P] = reauthentication_required(allow_get=True)(view)
    return guarded


def administrators_only(view: "View[P]") -> "Door[P]":
    """Sign in first; for everybody else the page does not exist."""

    @wraps(view)
    def guarded(request: UserRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if not request.user.is_staff:
            note_closed_page(request, label=request.path)
            raise Http404
        return view(request, *args, **kwargs)

    return login_required(guarded)  # type: ignore[return-value]


def find_or_404(rows: "QuerySet[Row]", request: HttpRequest, verb: str = "", **known: Any) -> Row:
    """The one of ``rows``, what this person may see, that ``known`` means; else a 404.

    If there is such a row and they may not see it, the audit is told who was denied what:
    ``verb``, or else that they opened or changed it.
    """
    found = rows.filter(**known).first()
    if found is not None:
        return found
    hidden = rows.model._base_manager.filter(**known).first()
    if hidden is not None:
        note_denial(hidden, verb or ("opened" if request.method in SAFE else "changed"), request)
    raise Http404


def note_denial(row: Model, verb: str, request: HttpRequest) -> None:
    """Tell the audit that the person who asks was denied ``verb`` of ``row``."""
    match = request.resolver_match
    kind = getattr(row, "KIND", "") or str(row._meta.verbose_name).lower().replace(" ", "_")
    deny(
        kind,
        getattr(row, "uuid", None) or uuid_of(row),
        verb,
        by=request.user if request.user.is_authenticated else None,
        owner=owner_of(row),
        label=str(row),
        page=match.view_name if match else "",
    )


def note_closed_page(
    request: UserRequest, *, label: str, reason: str = "", owner: int | None = None
) -> None:
    """Tell the audit that a page was closed to the person who asks; once a minute for each page."""
    name = request.resolver_match.view_name if request.resolver_match else ""
    deny(
        "page",
        uuid5(NAMESPACE_URL, name) if name else NOTHING,
        "opened" if request.method in SAFE else "changed",
        by=request.user,
        owner=owner,
        label=label,
        reason=reason,
        page=name,
    )


def uuid_of(row: Model) -> UUID:
    """What the audit knows a row by that has no UUID of its own."""
    return uuid5(NAMESPACE_OID, f"{row._meta.label_lower}-{row.pk}")


def owner_of(row: Model) -> int | None:
    """Whose row it is, by the column that says so."""
    for name in ("owner_pk", "owner_id", "user_id"):
        if (owner := getattr(row, name, None)) is not None:
            return int(owner)
    return None


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
