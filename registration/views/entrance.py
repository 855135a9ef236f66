"""Signing in and out, asking for an account, and the policies."""

from allauth.account.internal.flows.login import perform_password_login
from allauth.account.models import Login
from django.contrib import auth
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core.errors import Refused
from core.http import UNPROCESSABLE
from registration import actions, standing
from registration.doors import address_of, answers, path_to
from registration.forms.entrance import RegisterForm, SignInForm

HOME = "/"


@sensitive_post_parameters("password")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    there = path_to(request, HOME)
    if request.user.is_authenticated:
        return HttpResponseRedirect(there)
    form = SignInForm(answers(request))
    if form.is_valid():
        try:
            user = actions.sign_in(**form.cleaned_data, address=address_of(request))
        except Refused as refused:
            form.refuse(refused)
        else:
            standing.forget(request)
            if user.is_active:
                return perform_password_login(
                    request, {"username": user.username}, Login(user=user, redirect_url=there)
                )
            standing.remember(request, user)
            return redirect("registration:standing")
    return _form_page(request, "registration/sign_in.html", form, next=there)


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    auth.logout(request)
    return redirect(HOME)


@sensitive_post_parameters("new_password", "again")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def register(request: HttpRequest) -> HttpResponse:
    if request.user.is_authenticated:
        return redirect("registration:profile")
    form = RegisterForm(answers(request))
    if form.is_valid():
        try:
            actions.register(form.application(), address=address_of(request))
        except Refused as refused:
            form.refuse(refused)
        else:
            return redirect("registration:sent")
    return _form_page(request, "registration/register.html", form)


@require_safe
def sent(request: HttpRequest) -> HttpResponse:
    return render(request, "registration/sent.html")


def _form_page(
    request: HttpRequest, template: str, form: RegisterForm | SignInForm, **context: str
) -> HttpResponse:
    status = UNPROCESSABLE if form.is_bound else 200
    return render(request, template, {"form": form, **context}, status=status)
