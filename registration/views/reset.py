"""A new password by mail: ask, get a link, use it once or cancel it."""

import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core.errors import Refused
from core.http import UNPROCESSABLE
from registration import actions
from registration.doors import address_of, answers
from registration.forms.entrance import NewPasswordForm, ResetForm


@require_http_methods(["GET", "HEAD", "POST"])
def ask(request: HttpRequest) -> HttpResponse:
    form = ResetForm(answers(request))
    if form.is_valid():
        try:
            actions.request_reset(login=form.cleaned_data["login"], address=address_of(request))
        except Refused as refused:
            form.refuse(refused)
        else:
            return redirect("registration:reset_sent")
    status = UNPROCESSABLE if form.is_bound else 200
    return render(request, "registration/reset.html", {"form": form}, status=status)


@require_safe
def sent(request: HttpRequest) -> HttpResponse:
    return render(request, "registration/reset_sent.html")


@sensitive_variables("token")
@sensitive_post_parameters("new_password", "again")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def confirm(request: HttpRequest, uid: uuid.UUID, token: str) -> HttpResponse:
    """Opening the link changes nothing: mail scanners open links too."""
    form = NewPasswordForm(answers(request))
    try:
        user = actions.person_of_link(uid, token)
    except Refused as refused:
        return _spent(request, refused)
    if form.is_valid():
        try:
            actions.reset_password(uid, token, new_password=form.cleaned_data["new_password"])
        except Refused as refused:
            if refused.code == "link_spent":
                return _spent(request, refused)
            form.refuse(refused)
        else:
            messages.success(request, "Your password is changed. Sign in with the new one.")
            return redirect("login")
    context = {"form": form, "person": user, "uid": uid, "token": token}
    status = UNPROCESSABLE if form.is_bound else 200
    return render(request, "registration/reset_confirm.html", context, status=status)


@sensitive_variables("token")
@require_POST
def cancel(request: HttpRequest, uid: uuid.UUID, token: str) -> HttpResponse:
    try:
        actions.cancel_reset(uid, token)
    except Refused as refused:
        return _spent(request, refused)
    messages.success(request, "The link is cancelled. Your password is what it was.")
    return redirect("login")


def _spent(request: HttpRequest, refused: Refused) -> HttpResponse:
    context = {"refusal": str(refused)}
    return render(request, "registration/reset_spent.html", context, status=404)
