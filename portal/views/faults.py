"""What is shown when there is nothing, and when something broke."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string

from portal import api

#: Addresses for programs, which read no pages.
API = "/api/"


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if request.path.startswith(API):
        return api.nothing_here()
    return render(request, "404.html", status=404)


def broken(request: HttpRequest) -> HttpResponse:
    """Without context processors: what broke may be one of them."""
    if request.path.startswith(API):
        return api.broken()
    context = {"reference": getattr(request, "reference", "")}
    return HttpResponse(render_to_string("500.html", context), status=500)
