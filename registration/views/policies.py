"""The policies, their versions, and agreeing to them."""

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.views.decorators.http import require_http_methods, require_safe

from registration import actions, policies
from registration.doors import UserRequest, path_to
from registration.models import Policy


@require_safe
def current(request: HttpRequest) -> HttpResponse:
    return render(request, "registration/policies.html", {"policy": policies.current()})


@require_safe
def version(request: HttpRequest, version: int) -> HttpResponse:
    policy = Policy.objects.filter(version=version).first()
    if policy is None and version == policies.current().version:
        policy = policies.current()
    if policy is None:
        raise Http404
    return render(request, "registration/policies.html", {"policy": policy})


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def agree(request: UserRequest) -> HttpResponse:
    there = path_to(request, "/")
    if request.method == "POST":
        actions.agree_to_policies(request.user)
        return HttpResponseRedirect(there)
    context = {"policy": policies.current(), "next": there}
    return render(request, "registration/agree.html", context)
