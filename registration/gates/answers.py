"""How a gate says no, to a browser and to a program."""

from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse

SAFE = frozenset({"GET", "HEAD"})
#: Doors that no gate closes: leaving, and reading what one is asked to agree to.
ALWAYS_OPEN = frozenset({"logout", "policies", "healthz", "registration:stop_acting"})


def name_of(request: HttpRequest) -> str:
    """The name of the URL that is asked for, with its namespace."""
    match = request.resolver_match
    return match.view_name if match else ""


def is_page(request: HttpRequest) -> bool:
    """Whether a person looks at a page, and can be led to another one."""
    asked_by_script = request.headers.get("X-Requested-With") == "fetch"
    return request.method in SAFE and not asked_by_script and name_of(request) != "live"


def lead_to(request: HttpRequest, url: str, code: str, sentence: str) -> HttpResponse:
    """Lead a page to ``url`` and back; refuse anything else with the reason."""
    if is_page(request):
        return HttpResponseRedirect(f"{url}?{urlencode({'next': request.get_full_path()})}")
    return refuse(code, sentence)


def refuse(code: str, sentence: str) -> HttpResponse:
    return JsonResponse({"code": code, "detail": sentence}, status=403)
