"""The links that prove an e-mail address: opening one changes nothing, pressing its button does."""

import uuid

from allauth.account.decorators import reauthentication_required
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST

from core.errors import Refused
from core.http import UNPROCESSABLE
from registration import actions
from registration.doors import UserRequest, answers
from registration.forms.profile import NewEmailForm


@sensitive_variables("token")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def confirm_email(request: HttpRequest, uid: uuid.UUID, token: str) -> HttpResponse:
    """The address of a request. Mail scanners open links too, so a person presses a button."""
    try:
        if request.method == "POST":
            user = actions.confirm_email(uid, token)
            return render(request, "registration/email_confirmed.html", {"person": user})
        user = actions.person_to_confirm(uid, token)
    except Refused as refused:
        return _spent(request, refused)
    context = {"person": user, "uid": uid, "token": token}
    return render(request, "registration/confirm_email.html", context)


@login_required
@reauthentication_required
@require_http_methods(["GET", "HEAD", "POST"])
def new_email(request: UserRequest) -> HttpResponse:
    """Ask for another address of an account."""
    form = NewEmailForm(answers(request))
    if form.is_valid():
        try:
            actions.change_email(request.user, form.cleaned_data["email"])
        except Refused as refused:
            form.refuse(refused)
        else:
            email = request.user.new_email
            sentence = (
                f"A mail is on its way to {email}. Your address changes when you use its link."
            )
            messages.success(request, sentence)
            return redirect("registration:profile")
    status = UNPROCESSABLE if form.is_bound else 200
    context = {"form": form, "crumbs": _crumbs()}
    return render(request, "registration/new_email.html", context, status=status)


def _crumbs() -> list[dict[str, str]]:
    return [{"label": "Profile", "url": reverse("registration:profile")}]


@login_required
@require_POST
def cancel(request: UserRequest) -> HttpResponse:
    actions.cancel_change_of_email(request.user)
    messages.success(request, f"Your address stays {request.user.email}.")
    return redirect("registration:profile")


@sensitive_variables("token")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def confirm_new_email(request: HttpRequest, uid: uuid.UUID, token: str) -> HttpResponse:
    """Whoever reads the new address need not be signed in where they read it."""
    try:
        if request.method == "POST":
            user = actions.confirm_new_email(uid, token)
            return render(request, "registration/new_email_confirmed.html", {"person": user})
        user = actions.person_of_new_email(uid, token)
    except Refused as refused:
        return _spent(request, refused)
    context = {"person": user, "uid": uid, "token": token}
    return render(request, "registration/confirm_new_email.html", context)


@sensitive_variables("token")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def stop_new_email(request: HttpRequest, uid: uuid.UUID, token: str) -> HttpResponse:
    """Whoever reads the address that counts may be kept out of the account by who is in it."""
    try:
        if request.method == "POST":
            user = actions.stop_change_of_email(uid, token)
            return render(request, "registration/new_email_stopped.html", {"person": user})
        user = actions.person_who_wants_another(uid, token)
    except Refused as refused:
        return _spent(request, refused)
    context = {"person": user, "uid": uid, "token": token}
    return render(request, "registration/stop_new_email.html", context)


def _spent(request: HttpRequest, refused: Refused) -> HttpResponse:
    context = {"refusal": str(refused), "is_spent": refused.code == "link_spent"}
    return render(request, "registration/confirm_spent.html", context, status=404)
