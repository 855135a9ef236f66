"""Where a request stands, for whoever made it and is not let in yet, or any more."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from registration import standing


@never_cache
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    person = standing.person_of(request)
    if person is None:
        return redirect("login")
    return render(request, "registration/standing.html", {"person": person})
