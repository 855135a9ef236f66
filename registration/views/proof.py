"""The second step of signing in, and proving again who one is."""

from collections.abc import Callable
from typing import Any

from allauth.account.internal.decorators import login_stage_required
from allauth.account.internal.flows.reauthentication import reauthenticate_by_password
from allauth.mfa.base.internal.flows import post_authentication
from allauth.mfa.models import Authenticator
from allauth.mfa.stages import AuthenticateStage
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from core.errors import Refused
from core.http import UNPROCESSABLE
from registration import actions, passkeys
from registration.actions import second_factor
from registration.doors import UserRequest, path_to
from registration.forms.base import Form
from registration.forms.security import CodeForm, CredentialForm, PasswordAgainForm
from registration.models import User
from registration.reauthentication import is_fresh, resume

#: Below this many, a person who used one is told to make new ones.
FEW_CODES = 4


class Ways:
    """How ``user`` may prove who they are: a form each, in the order they are offered."""

    def __init__(self, request: HttpRequest, user: User, *, with_password: bool) -> None:
        self.request = request
        self.user = user
        rows = Authenticator.objects.filter(user=user).values_list("type", flat=True)
        kinds = set(rows)
        self.passkey = self._form(CredentialForm, second_factor.KEY in kinds)
        self.code = self._form(CodeForm, bool(kinds - {second_factor.KEY}))
        self.password = self._form(PasswordAgainForm, with_password and actions.has_password(user))
        self.sent = next((form for form in self.forms if form and form.is_bound), None)
        if first := self.sent or self.password or self.code:
            next(iter(first.fields.values())).widget.attrs["autofocus"] = True

    @property
    def forms(self) -> list[Form | None]:
        return [self.passkey, self.code, self.password]

    def _form(self, form: type[Form], is_open: bool) -> Form | None:
        """Bound if it is this one that was sent."""
        (first, *_) = form.base_fields
        is_sent = self.request.method == "POST" and first in self.request.POST
        return form(self.request.POST if is_sent else None) if is_open else None

    def prove(self, take: Callable[[Form], Any]) -> bool:
        """Whether what was sent is right; the form that was not says why."""
        if self.sent is None or not self.sent.is_valid():
            return False
        try:
            take(self.sent)
        except Refused as refused:
            self.sent.refuse(refused)
            return False
        return True

    def as_page(self, template: str, **context: Any) -> HttpResponse:
        context |= {"passkey": self.passkey, "code": self.code, "password": self.password}
        if self.passkey:
            context["options"] = passkeys.options_to_prove(self.user)
        status = UNPROCESSABLE if self.request.method == "POST" else 200
        return render(self.request, template, context, status=status)


@sensitive_post_parameters("code", "credential")
@require_http_methods(["GET", "HEAD", "POST"])
@login_stage_required(stage=AuthenticateStage.key, redirect_urlname="login")
def second_step(request: HttpRequest) -> HttpResponse:
    """Only who has given the right password comes here; only who passes is signed in."""
    stage: Any = request._login_stage  # type: ignore[attr-defined]
    user = stage.login.user
    if user is None or not second_factor.has_second_factor(user):  # taken away meanwhile
        return redirect("login")
    ways = Ways(request, user, with_password=False)
    if ways.prove(lambda form: _take_factor(request, user, form)):
        answer: HttpResponse = stage.exit()
        _warn_of_few_codes(request, user)
        return answer
    return ways.as_page("mfa/second_step.html", person=user)


def _take_factor(request: HttpRequest, user: User, form: Form, **how: bool) -> None:
    if isinstance(form, CodeForm):
        used = actions.use_code(user, form.cleaned_data["code"])
    else:
        used = actions.use_passkey(user, form.cleaned_data["credential"])
    post_authentication(request, used, **how)


def _warn_of_few_codes(request: HttpRequest, user: User) -> None:
    row = Authenticator.objects.filter(user=user, type=second_factor.CODES).first()
    left = second_factor.recovery_codes_left(row) if row else FEW_CODES
    if left < FEW_CODES:
        sentence = f"You have {left} recovery codes left. Make new ones on “Sign-in and security”."
        messages.warning(request, sentence)


@sensitive_post_parameters("password", "code", "credential")
@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def again(request: UserRequest) -> HttpResponse:
    """Ask who it is; then go on with what was asked for."""
    there = path_to(request, reverse("mfa_index"))
    if request.method != "POST" and is_fresh(request):
        return resume(request, there)
    ways = Ways(request, request.user, with_password=True)
    if ways.prove(lambda form: _take_again(request, form)):
        return resume(request, there)
    return ways.as_page("account/reauthenticate.html", next=there)


def _take_again(request: UserRequest, form: Form) -> None:
    if not isinstance(form, PasswordAgainForm):
        return _take_factor(request, request.user, form, reauthenticated=True)
    actions.prove_password(request.user, form.cleaned_data["password"])
    reauthenticate_by_password(request)
    return None
