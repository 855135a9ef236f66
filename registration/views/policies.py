"""The policies, their versions, agreeing to them, and publishing new ones."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from core.errors import Refused
from core.http import UNPROCESSABLE, query_without
from registration import actions, policies
from registration.differences import differences
from registration.doors import UserRequest, administrators_only, answers, path_to
from registration.forms.policies import PolicyForm
from registration.models import Policy

PAGE = 50


@require_safe
def current(request: HttpRequest) -> HttpResponse:
    return _show(request, policies.current())


@require_safe
def version(request: HttpRequest, version: int) -> HttpResponse:
    policy = policies.find(version)
    if policy is None:
        raise Http404
    return _show(request, policy)


def _show(request: HttpRequest, policy: Policy) -> HttpResponse:
    versions = list(Policy.objects.defer("text"))
    context = {
        "policy": policy,
        "latest": versions[0] if versions else policy,
        "versions": versions,
        "before": policies.former(policy),
    }
    return render(request, "registration/policies.html", context)


@require_safe
def changes(request: HttpRequest, version: int) -> HttpResponse:
    """What a version changed in the one before it, word for word."""
    policy = policies.find(version)
    if policy is None:
        raise Http404
    before = policies.former(policy)
    context = {
        "policy": policy,
        "before": before,
        "blocks": policies.differences(before.text, policy.text) if before else (),
        "crumbs": [
            {
                "label": f"Version {policy.version}",
                "url": reverse("registration:policy", args=[policy.version]),
            }
        ],
    }
    return render(request, "registration/policy_changes.html", context)


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def agree(request: UserRequest) -> HttpResponse:
    there = path_to(request, "/")
    status = 200
    if request.method == "POST":
        try:
            actions.agree_to_policies(request.user, version=_version(request, "version"))
        except Refused as refused:
            messages.warning(request, str(refused))
            status = UNPROCESSABLE
        else:
            return HttpResponseRedirect(there)
    policy = policies.current()
    context = {
        "policy": policy,
        "change": policies.change(policy, since=request.user.policy_version),
        "next": there,
        "is_asked": policies.must_agree(request.user),
    }
    return render(request, "registration/agree.html", context, status=status)


def _version(request: HttpRequest, name: str) -> int:
    """The version that a page was made from; 0, which there is not, if it does not say."""
    given = request.POST.get(name, "")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 10 else 0


@administrators_only
@require_safe
def versions(request: UserRequest) -> HttpResponse:
    """Every version: who published it, what is new in it, and who has agreed."""
    context = {
        "standings": policies.standings(),
        "current": policies.current(),
        "wanted": policies.wanted_version(),
        "missing": policies.missing().order_by().count(),
    }
    return render(request, "registration/policy_versions.html", context)


@administrators_only
@require_safe
def missing(request: UserRequest) -> HttpResponse:
    """Who has not agreed to what holds."""
    wanted = request.GET.get("q", "").strip()[:100]
    page = Paginator(policies.missing(wanted), PAGE).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "q": wanted,
        "query": query_without(request, "page"),
        "wanted": policies.wanted_version(),
        "crumbs": _crumbs(),
    }
    return render(request, "registration/policy_missing.html", context)


def _crumbs() -> list[dict[str, str]]:
    return [{"label": "Policies", "url": reverse("registration:policy_versions")}]


@administrators_only
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: UserRequest) -> HttpResponse:
    """A new version, made from the one that holds: looked at first, then published."""
    before = policies.current()
    form = PolicyForm(answers(request), initial={"text": before.text})
    if form.is_valid() and request.POST.get("act") == "publish":
        try:
            policy = actions.publish_policies(
                by=request.user, made_from=_version(request, "made_from"), **form.cleaned_data
            )
        except Refused as refused:
            form.refuse(refused)
            before = policies.current()
        else:
            messages.success(request, _told(policy))
            return redirect("registration:policy_versions")
    status = UNPROCESSABLE if form.is_bound and form.errors else 200
    return render(
        request, "registration/policy_new.html", _new_context(form, before), status=status
    )


def _new_context(form: PolicyForm, before: Policy) -> dict[str, Any]:
    text = form.cleaned_data.get("text", "") if form.is_bound else ""
    return {
        "form": form,
        "before": before,
        "text": text,
        "blocks": differences(before.text, text) if text else [],
        "crumbs": _crumbs(),
    }


def _told(policy: Policy) -> str:
    asked = "Everybody is asked to agree." if policy.asks_again else "Nobody is asked again."
    return f"Version {policy.version} is published. {asked}"
