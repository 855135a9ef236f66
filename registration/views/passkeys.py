"""Passkeys: adding, renaming and removing one, and signing in with nothing else."""

import json
from typing import Any

from allauth.account.decorators import reauthentication_required
from allauth.account.models import Login
from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.internal.flows import perform_passwordless_login
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.signing import BadSignature
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from core.errors import Refused
from core.http import UNPROCESSABLE, is_fragment
from registration import actions, passkeys, throttle
from registration.actions import second_factor
from registration.doors import UserRequest, address_of, answers, find_or_404, path_to
from registration.forms.security import CredentialForm, NameForm, PasskeyForm
from registration.views import security

#: How long the challenge of a sign-in is good.
CHALLENGE_S = 300


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
@reauthentication_required
def add(request: UserRequest) -> HttpResponse:
    form = PasskeyForm(answers(request))
    if form.is_valid():
        data = form.cleaned_data
        try:
            credential = passkeys.new_credential(
                request.user, data["credential"], is_passwordless=data["passwordless"]
            )
            has_new_codes = actions.add_passkey(
                request.user, name=data["name"], credential=credential
            )
        except Refused as refused:
            form.refuse(refused)
        else:
            messages.success(request, "The passkey is added.")
            return redirect("mfa_view_recovery_codes" if has_new_codes else "mfa_index")
    context = {"form": form, "options": passkeys.options_to_add(request.user)}
    status = UNPROCESSABLE if form.is_bound else 200
    return render(request, "mfa/passkey.html", context, status=status)


def _own(request: UserRequest, pk: int) -> Authenticator:
    own = Authenticator.objects.filter(user=request.user)
    return find_or_404(own, request, type=second_factor.KEY, pk=pk)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def rename(request: UserRequest, pk: int) -> HttpResponse:
    row = _own(request, pk)
    data = answers(request)
    form = NameForm(data) if data is not None else NameForm(initial={"name": row.data["name"]})
    if form.is_valid():
        try:
            actions.rename_passkey(request.user, row, name=form.cleaned_data["name"])
        except Refused as refused:
            form.refuse(refused)
        else:
            messages.success(request, f"It is called {row.data['name']} now.")
            return redirect("mfa_index")
    context = {"form": form, "passkey": row}
    status = UNPROCESSABLE if form.is_bound else 200
    return render(request, "mfa/rename.html", context, status=status)


@login_required
@require_POST
def remove(request: UserRequest, pk: int) -> HttpResponse:
    return _remove(request, _own(request, pk))


@reauthentication_required
def _remove(request: UserRequest, row: Authenticator) -> HttpResponse:
    """What is not one's own does not exist, before any proof is asked for."""
    return security.remove(request, row, f"The passkey {row.data['name']} is removed.")


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    """Asked by the page's script, a challenge; sent an answer to it, the way in."""
    there = path_to(request, "/")
    if request.user.is_authenticated:
        return HttpResponseRedirect(there)
    if request.method == "POST":
        return _signed_in(request, there)
    return _challenge(request) if is_fragment(request) else redirect("login")


def _challenge(request: HttpRequest) -> HttpResponse:
    """Kept in a cookie: whoever only looks must leave no session behind."""
    options = passkeys.options_to_prove(None)
    answer = HttpResponse(options, content_type="application/json")
    answer.set_signed_cookie(
        _cookie(),
        json.dumps(request.session.pop(passkeys.STATE)),
        max_age=CHALLENGE_S,
        path=reverse("mfa_login_webauthn"),
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Strict",
    )
    return answer


def _cookie() -> str:
    return f"passkey-{settings.PORTAL_PORT}"


def _signed_in(request: HttpRequest, there: str) -> HttpResponse:
    try:
        authenticator = actions.prove_by_passkey(_answer(request), address=address_of(request))
    except Refused as refused:
        request.session.pop(passkeys.STATE, None)  # who is not in leaves no session behind
        messages.error(request, str(refused))
        return redirect(f"{reverse('login')}?{urlencode({'next': there})}")
    login = Login(user=authenticator.user, redirect_url=there)
    answer: HttpResponse = perform_passwordless_login(request, authenticator, login)
    answer.delete_cookie(_cookie(), path=reverse("mfa_login_webauthn"))
    return answer


def _answer(request: HttpRequest) -> Any:
    """What the browser sent, with the challenge that it answers put where it is looked for.

    Raises: Refused: ``passkey_wrong``.
    """
    too_late = Refused("passkey_wrong", "That took too long, or was not right. Try again.")
    form = CredentialForm(request.POST)
    try:
        cookie = str(request.get_signed_cookie(_cookie(), max_age=CHALLENGE_S))
    except (KeyError, BadSignature):
        raise too_late from None
    # Counted for longer than a challenge lasts: it is good once.
    if not form.is_valid() or throttle.take(1, "challenge", cookie):
        raise too_late
    request.session[passkeys.STATE] = json.loads(cookie)
    return form.cleaned_data["credential"]
