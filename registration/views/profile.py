"""What a person sees and changes about themselves."""

from django.contrib import auth, messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from core.errors import Refused
from core.http import UNPROCESSABLE
from registration import actions
from registration.doors import UserRequest, answers
from registration.forms.profile import PasswordForm, ProfileForm
from registration.models import User


@sensitive_post_parameters("password")
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def profile(request: UserRequest) -> HttpResponse:
    # The form works on its own copy: the bar shows what is saved, not what was refused.
    person = User.objects.get(pk=request.user.pk)
    data = answers(request)
    form = ProfileForm(data) if data is not None else ProfileForm.of(person)
    if form.is_valid():
        try:
            actions.change_profile(person, form.profile(), password=form.cleaned_data["password"])
        except Refused as refused:
            form.refuse(refused)
        else:
            messages.success(request, "Your profile is saved.")
            return redirect("registration:profile")
    context = {"form": form, "quota": person.quota, "key_count": person.ssh_keys.count()}
    status = UNPROCESSABLE if form.is_bound else 200
    return render(request, "registration/profile.html", context, status=status)


@sensitive_post_parameters("password", "new_password", "again")
@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def password(request: UserRequest) -> HttpResponse:
    form = PasswordForm(answers(request))
    if form.is_valid():
        try:
            actions.change_password(
                request.user,
                password=form.cleaned_data["password"],
                new_password=form.cleaned_data["new_password"],
            )
        except Refused as refused:
            form.refuse(refused)
        else:
            auth.update_session_auth_hash(request, request.user)
            messages.success(
                request,
                "Your password is changed. Wherever else you were signed in, you are not now.",
            )
            return redirect("registration:profile")
    status = UNPROCESSABLE if form.is_bound else 200
    return render(request, "registration/password.html", {"form": form}, status=status)
