"""What a person sees and changes about themselves."""

from django.contrib import auth, messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from core.errors import Refused
from core.http import UNPROCESSABLE
from registration import actions, sessions
from registration.doors import UserRequest, answers
from registration.forms.profile import DefaultsForm, PasswordForm, ProfileForm
from registration.identities import sources
from registration.models import User


def _own_copy(request: HttpRequest) -> User:
    """Forms work on a copy: the page's bar shows what is saved, not what was refused."""
    person: User = User.objects.get(pk=request.user.pk)
    return person


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def profile(request: UserRequest) -> HttpResponse:
    person = _own_copy(request)
    data = answers(request)
    form = ProfileForm(data) if data is not None else ProfileForm.of(person)
    if form.is_valid():
        try:
            actions.change_profile(person, form.profile())
        except Refused as refused:
            form.refuse(refused)
        else:
            messages.success(request, "Your profile is saved.")
            return redirect("registration:profile")
    return _page(request, form, DefaultsForm(person))


@login_required
@require_POST
def defaults(request: UserRequest) -> HttpResponse:
    person = _own_copy(request)
    form = DefaultsForm(person, request.POST)
    if form.is_valid():
        try:
            actions.choose_defaults(person, form.defaults())
        except Refused as refused:
            form.refuse(refused)
        else:
            messages.success(request, "What pages show and offer first is saved.")
            return redirect("registration:profile")
    return _page(request, ProfileForm.of(person), form)


def _page(request: UserRequest, about: ProfileForm, offered: DefaultsForm) -> HttpResponse:
    context = {
        "form": about if about.is_bound else offered,  # whose mistakes are told on top
        "about": about,
        "offered": offered,
        "policy_version": request.user.policy_version,
    }
    status = UNPROCESSABLE if about.is_bound or offered.is_bound else 200
    return render(request, "registration/profile.html", context, status=status)


@sensitive_post_parameters("password", "new_password", "again")
@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def password(request: UserRequest) -> HttpResponse:
    form = PasswordForm(answers(request))
    if form.is_valid():
        here = request.session.session_key
        try:
            actions.change_password(
                request.user,
                password=form.cleaned_data["password"],
                new_password=form.cleaned_data["new_password"],
                session=here,
            )
        except Refused as refused:
            form.refuse(refused)
        else:
            auth.update_session_auth_hash(request, request.user)
            sessions.moved(request, was=here)
            messages.success(
                request,
                "Your password is changed. Wherever else you were signed in, you are not now.",
            )
            if request.user.api_tokens.good().exists():
                messages.info(request, "Your API tokens still work: revoke any that is not safe.")
            return redirect("registration:profile")
    status = UNPROCESSABLE if form.is_bound else 200
    context = {
        "form": form,
        "elsewhere": sources.where_password_is(request.user),
        "crumbs": [{"label": "Profile", "url": reverse("registration:profile")}],
    }
    return render(request, "registration/password.html", context, status=status)
