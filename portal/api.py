"""The HTTP API, assembled: every app's part of it, and how it says no."""

import json
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.urls import URLPattern, path, reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.operation import Operation
from ninja.parser import Parser

from core.errors import Refused
from core.http import UNPROCESSABLE, problem
from marketplace.api import routers as images
from portal import guide
from registration.actions import BadToken
from registration.api import notices
from registration.api import router as people
from registration.bearer import Bearer, Closed
from registration.throttle import WINDOW
from vms.api import router as machines
from volumes.api import routers as disks

UNAUTHORIZED, FORBIDDEN, CONFLICT, TOO_MANY = 401, 403, 409, 429
#: Refusals that are not about the thing that was asked for.
STATUS = {"scope": FORBIDDEN, "not_administrator": FORBIDDEN, "too_many_attempts": TOO_MANY}


class Json(Parser):
    """JSON whose texts can be written: half a surrogate pair is no character (RFC 8259, 8.2)."""

    def parse_body(self, request: HttpRequest) -> dict[str, Any]:
        body = super().parse_body(request)
        if rb"\u" in request.body:
            json.dumps(body, ensure_ascii=False).encode()
        return body


class Api(NinjaAPI):
    def get_openapi_operation_id(self, operation: Operation) -> str:
        """The names that generated clients give their functions: ours, without the module's."""
        return operation.view_func.__name__


api = Api(
    title=f"{settings.PORTAL_SITE_NAME} Portal",
    version="1",
    description="Send your API token with every request: Authorization: Bearer slp_…. Only what "
    "is public in the Marketplace needs none.",
    urls_namespace="api",
    parser=Json(),
    docs_url=None,  # its pages come from elsewhere; ours is api_guide
    docs_decorator=require_safe,
    auth=Bearer(),
)
api.add_router("", machines, tags=["machines"])
for router in disks:
    api.add_router("", router, tags=["disks"])
for router in images:
    api.add_router("", router, tags=["images"])
api.add_router("", people, tags=["people"])
api.add_router("", notices, tags=["notifications"])


@api.exception_handler(AuthenticationError)
def _without_token(request: HttpRequest, exc: AuthenticationError) -> HttpResponse:
    sentence = "Send an API token: Authorization: Bearer slp_…. You make one in your account."
    return _ask_for_token(problem("token_missing", sentence, status=UNAUTHORIZED))


@api.exception_handler(BadToken)
def _bad_token(request: HttpRequest, exc: BadToken) -> HttpResponse:
    answer = problem(exc.code, str(exc), status=UNAUTHORIZED)
    return _ask_for_token(answer, 'error="invalid_token"')


def _ask_for_token(answer: HttpResponse, more: str = "") -> HttpResponse:
    """Source: RFC 6750, section 3."""
    answer["WWW-Authenticate"] = ", ".join(filter(None, ['Bearer realm="portal"', more]))
    return answer


@api.exception_handler(Closed)
def _closed(request: HttpRequest, exc: Closed) -> HttpResponse:
    return exc.answer


@api.exception_handler(Refused)
def _refused(request: HttpRequest, exc: Refused) -> HttpResponse:
    fields = {exc.field: [str(exc)]} if exc.field else None
    answer = problem(exc.code, str(exc), status=STATUS.get(exc.code, CONFLICT), fields=fields)
    if exc.code == "scope":
        return _ask_for_token(answer, 'error="insufficient_scope", scope="write"')
    if exc.code == "too_many_attempts":
        answer["Retry-After"] = str(int(WINDOW.total_seconds()))
    return answer


@api.exception_handler(Http404)
def _not_found(request: HttpRequest, exc: Http404) -> HttpResponse:
    return nothing_here()


def nothing_here() -> HttpResponse:
    """What the API says of an address that leads nowhere, or to what is not yours to see."""
    return problem("not_found", "There is no such thing here, or it is not yours.", status=404)


def broken() -> HttpResponse:
    """What the API says when the portal has a fault."""
    sentence = "Something went wrong inside the portal. Tell an administrator the reference."
    return problem("internal", sentence, status=500)


@api.exception_handler(HttpError)
def _http_error(request: HttpRequest, exc: HttpError) -> HttpResponse:
    """Ninja's own: a body that is no JSON, and where it stops to be."""
    why = f": {exc.__cause__}" if isinstance(exc.__cause__, ValueError) else ""
    return problem("unreadable", f"{exc}{why}.", status=exc.status_code)


@api.exception_handler(ValidationError)
def _invalid(request: HttpRequest, exc: ValidationError) -> HttpResponse:
    fields: dict[str, list[str]] = {}
    for error in exc.errors:
        fields.setdefault(_field(error["loc"]), []).append(error["msg"])
    sentence = "Some of what was sent is not right: see fields."
    return problem("invalid", sentence, status=UNPROCESSABLE, fields=fields)


def _field(loc: tuple[Any, ...]) -> str:
    """Where in what was sent: the place (body, query, path) and the argument's name are ours."""
    named = loc[2:] or loc[1:] or loc
    return ".".join(str(part) for part in named)


@require_safe
def _index(request: HttpRequest) -> HttpResponse:
    return JsonResponse(
        {
            "version": "1",
            "openapi": request.build_absolute_uri(reverse("api:openapi-json")),
            "guide": request.build_absolute_uri(reverse("api_guide")),
        }
    )


_LIKE_GET: dict[str | None, str] = {"HEAD": "GET"}


def _as_all_doors(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Ninja's view with HEAD, a 405 as every other refusal, and nothing kept by caches."""

    @never_cache
    @wraps(view)
    def door(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        asked, request.method = request.method, _LIKE_GET.get(request.method, request.method)
        answer = view(request, *args, **kwargs)
        request.method = asked  # the server leaves the body away
        if answer.status_code != 405:
            return answer
        allowed = set(answer["Allow"].split(", "))
        if "GET" in allowed:
            allowed.add("HEAD")
        sentence = f"This address takes {', '.join(sorted(allowed))}."
        refusal = problem("method", sentence, status=answer.status_code)
        refusal["Allow"] = ", ".join(sorted(allowed))
        return refusal

    return door


def _urls() -> tuple[list[URLPattern], str, str]:
    patterns, app_name, namespace = api.urls
    ours: list[URLPattern] = [path("", _index, name="api-root")]
    for pattern in patterns:
        if isinstance(pattern, URLPattern) and pattern.name != "api-root":
            pattern.callback = _as_all_doors(pattern.callback)
            ours.append(pattern)
    return ours, app_name, namespace


urls = _urls()


def operations() -> list[dict[str, Any]]:
    """Every operation, for the guide."""
    return guide.operations(api.get_openapi_schema(path_prefix="/api/v1"))
