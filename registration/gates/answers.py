"""How a gate says no, to a browser and to a program."""

from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from core.http import problem

SAFE = frozenset({"GET", "HEAD"})
#: Doors that no gate closes: leaving, and reading what one is asked to agree to.
ALWAYS_OPEN = frozenset({"logout", "policies", "healthz", "registration:stop_acting"})

#: How names of the API's URLs begin.
API = "api:"
#: The attribute of other doors that programs pass as well.
FOR_PROGRAMS = "is_for_programs"


def name_of(request: HttpRequest) -> str:
    """The name of the URL that is asked for, with its namespace."""
    match = request.resolver_match
    return match.view_name if match else ""


def is_page(request: HttpRequest) -> bool:
    """Whether a person looks at a page, and can be led to another one."""
    asked_by_script = request.headers.get("X-Requested-With") == "fetch"
    door = request.resolver_match.func if request.resolver_match else None
    is_of_programs = name_of(request) == "live" or name_of(request).startswith(API)
    is_of_programs = is_of_programs or getattr(door, FOR_PROGRAMS, False)
    return request.method in SAFE and not asked_by_script and not is_of_programs


def lead_to(request: HttpRequest, url: str, code: str, sentence: str) -> HttpResponse:
    """Lead a page to ``url`` and back; refuse anything else with the reason."""
    if is_page(request):
        return HttpResponseRedirect(f"{url}?{urlencode({'next': request.get_full_path()})}")
    return refuse(code, sentence)


def refuse(code: str, sentence: str) -> HttpResponse:
    return problem(code, sentence, status=403)
