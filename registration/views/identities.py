"""Signing in through an OpenID Connect provider, and connecting an account to one."""

import secrets
import time
from contextlib import nullcontext
from typing import Any

import requests
from allauth.account.decorators import reauthentication_required
from allauth.account.utils import perform_login
from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.helpers import render_authentication_error
from allauth.socialaccount.internal.flows import signup
from allauth.socialaccount.internal.flows.login import record_authentication
from allauth.socialaccount.internal.statekit import get_states
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialLogin
from allauth.socialaccount.providers.base import AuthProcess
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core.errors import Refused
from core.http import UNPROCESSABLE
from registration import actions, throttle
from registration.doors import UserRequest, address_of, answers, find_or_404, path_to
from registration.forms.identities import FinishForm
from registration.identities import client, sources, visits
from registration.identities.adapter import PROVE, said_no
from registration.identities.said import identity_of

HOME = "/"
#: From an address, in a window (throttle.WINDOW): a class that signs in together may.
MOST_STARTS = 100
TOO_MANY = 429
#: That the provider asks even whom it knows, and says when it did (section 3.1.2.1).
ASKED_AGAIN = {"prompt": "login", "max_age": "0"}


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Go to the provider; a link that somebody else made only asks whether to go."""
    provider = _provider(request, provider_id)
    there = path_to(request, HOME)
    if request.user.is_authenticated:
        return HttpResponseRedirect(there)
    if request.method != "POST":
        context = {"provider": provider_id, "name": provider.name, "next": there}
        return render(request, "socialaccount/login.html", context)
    return _go(request, provider, AuthProcess.LOGIN, there)


@never_cache
@login_required
@require_POST
@reauthentication_required
def connect(request: UserRequest, provider_id: str) -> HttpResponse:
    provider = _provider(request, provider_id)
    there = reverse("socialaccount_connections")
    return _go(request, provider, AuthProcess.CONNECT, there, user=str(request.user.uuid))


@never_cache
@login_required
@require_POST
def prove(request: UserRequest, provider_id: str) -> HttpResponse:
    """Have the provider ask once more who it is."""
    provider = _provider(request, provider_id)
    there = path_to(request, reverse("mfa_index"))
    state = {"user": str(request.user.uuid), "proof_began_at": time.time()}
    return _go(request, provider, PROVE, there, **state)


def _provider(request: HttpRequest, provider_id: str) -> client.Provider:
    try:
        return get_adapter().get_provider(request, provider_id)
    except SocialApp.DoesNotExist:
        raise Http404 from None


def _go(
    request: HttpRequest, provider: client.Provider, process: str, there: str, **state: Any
) -> HttpResponse:
    """A page that leads to the provider by itself.

    Not a redirect: browsers hold a redirect after a form against the policy of our page,
    which knows nothing of the sites that a provider leads on to.
    """
    if until := throttle.take(MOST_STARTS, "provider", address_of(request)):
        sentence = (
            f"{MOST_STARTS} sign-ins through other sites were begun from your network address in "
            f"a short time. Try again after {until:%H:%M} UTC."
        )
        return said_no(request, sentence, TOO_MANY)
    nonce = secrets.token_urlsafe(24)
    asked = {"nonce": nonce} | (ASKED_AGAIN if process == PROVE else {})
    is_visitor = not request.user.is_authenticated
    states: dict[str, Any] = {}
    try:
        with visits.of_visitor(request) if is_visitor else nullcontext():
            answer = provider.redirect(
                request, process, next_url=there, nonce=nonce, auth_params=asked, **state
            )
            states = get_states(request) if is_visitor else {}
    except (requests.RequestException, client.Untrusted) as exc:
        return render_authentication_error(request, provider, exception=exc)
    if not isinstance(answer, HttpResponseRedirect):
        return answer
    context = {"name": provider.name, "url": answer.url}
    page = render(request, "socialaccount/leave.html", context)
    if is_visitor:
        visits.keep(page, states, provider.app.provider_id)
    return page


@never_cache
@require_safe
def callback(request: HttpRequest, provider_id: str) -> HttpResponse:
    _provider(request, provider_id)
    view = client.Callback.adapter_view(client.Adapter(request, provider_id))
    return view(request)


@require_safe
def cancelled(request: HttpRequest) -> HttpResponse:
    return render(request, "socialaccount/cancelled.html")


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def finish(request: HttpRequest) -> HttpResponse:
    """The registration form of somebody whom a provider knows, and we do not yet."""
    if request.user.is_authenticated:
        return redirect("socialaccount_connections")
    pending = _pending(request)
    if pending is None:
        messages.info(request, "That sign-in is over. Begin again.")
        return redirect("login")
    identity = identity_of(pending.account)
    if holder := actions.holder_of_address(identity):
        context = {"identity": identity, "holder": holder}
        return render(request, "socialaccount/has_account.html", context)
    data = answers(request)
    form = FinishForm(data) if data is not None else FinishForm.of(identity)
    if form.is_valid():
        try:
            user = actions.register_through(
                identity, form.application(), address=address_of(request)
            )
        except Refused as refused:
            form.refuse(refused)
        else:
            return _welcome(request, pending, user)
    status = UNPROCESSABLE if form.is_bound else 200
    context = {"form": form, "identity": identity}
    return render(request, "socialaccount/finish.html", context, status=status)


def _pending(request: HttpRequest) -> SocialLogin | None:
    try:
        return signup.get_pending_signup(request)
    except SocialApp.DoesNotExist:  # it was taken out of the settings meanwhile
        signup.clear_pending_signup(request)
        return None


def _welcome(request: HttpRequest, pending: SocialLogin, user: Any) -> HttpResponse:
    """In, if a rule let them in at once; else to the page that says where they stand."""
    signup.clear_pending_signup(request)
    pending.user = user
    record_authentication(request, pending)
    return perform_login(request, user, redirect_url=pending.get_redirect_url(request))


@never_cache
@login_required
@require_safe
def connections(request: UserRequest) -> HttpResponse:
    names = sources.providers()
    accounts = list(SocialAccount.objects.filter(user=request.user).order_by("pk"))
    rows = [
        {
            "account": account,
            "identity": identity_of(account),
            "is_offered": account.provider in names,
            "is_last": not actions.ways_in(request.user, besides=account),
        }
        for account in accounts
    ]
    connected = {account.provider for account in accounts}
    context = {
        "rows": rows,
        "others": [(id, name) for id, name in names.items() if id not in connected],
        "where": sources.where_password_is(request.user),
        "crumbs": [{"label": "Sign-in and security", "url": reverse("mfa_index")}],
    }
    return render(request, "socialaccount/connections.html", context)


@never_cache
@login_required
@require_POST
def disconnect(request: UserRequest, pk: int) -> HttpResponse:
    own = SocialAccount.objects.filter(user=request.user)
    account = find_or_404(own, request, "identity_disconnected", pk=pk)
    return _disconnect(request, account)


@reauthentication_required
def _disconnect(request: UserRequest, account: SocialAccount) -> HttpResponse:
    """What is not one's own does not exist, before any proof is asked for."""
    name = sources.name_of(account.provider)
    try:
        actions.disconnect_identity(request.user, account)
    except Refused as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, f"{name} does not let you in any more.")
    return redirect("socialaccount_connections")
