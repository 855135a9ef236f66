"""A person's second factors: what there is, setting one up, taking one away."""

import base64

from allauth.account.decorators import reauthentication_required
from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import generate_totp_secret
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core.errors import Refused
from core.http import UNPROCESSABLE
from registration import actions, sealing
from registration.actions import second_factor
from registration.doors import UserRequest, answers
from registration.forms.security import FirstCodeForm
from registration.identities.directory import SOURCE

#: The session's key: the sealed secret of the app that is being set up.
PENDING = "second_factor_pending"


@never_cache
@login_required
@require_safe
def index(request: UserRequest) -> HttpResponse:
    """Everything that one signs in with."""
    rows = list(Authenticator.objects.filter(user=request.user).order_by("pk"))
    codes = next((row for row in rows if row.type == second_factor.CODES), None)
    context = {
        "app": next((row for row in rows if row.type == second_factor.APP), None),
        "passkeys": [row for row in rows if row.type == second_factor.KEY],
        "codes": codes,
        "codes_left": second_factor.recovery_codes_left(codes) if codes else 0,
        "most_passkeys": second_factor.MOST_PASSKEYS,
        "is_in_directory": request.user.source == SOURCE,
        "is_needed": second_factor.is_asked_of(request.user) and not rows,
    }
    return render(request, "mfa/index.html", context)


@sensitive_post_parameters("code")
@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
@reauthentication_required
def add_app(request: UserRequest) -> HttpResponse:
    """Show a secret as a picture and as text, until the app proves that it has it."""
    if Authenticator.objects.filter(user=request.user, type=second_factor.APP).exists():
        return redirect("mfa_index")
    secret = _pending_secret(request)
    form = FirstCodeForm(answers(request))
    if form.is_valid():
        try:
            has_new_codes = actions.add_app(
                request.user, secret=secret, code=form.cleaned_data["code"]
            )
        except Refused as refused:
            form.refuse(refused)
        else:
            del request.session[PENDING]
            messages.success(request, "From now on, signing in asks for a code of your app.")
            return redirect("mfa_view_recovery_codes" if has_new_codes else "mfa_index")
    url = get_adapter().build_totp_url(request.user, secret)
    picture = base64.b64encode(get_adapter().build_totp_svg(url).encode()).decode()
    context = {
        "form": form,
        "picture": f"data:image/svg+xml;base64,{picture}",
        "secret": " ".join(secret[at : at + 4] for at in range(0, len(secret), 4)),
        "url": url,
    }
    status = UNPROCESSABLE if form.is_bound else 200
    return render(request, "mfa/app.html", context, status=status)


def _pending_secret(request: HttpRequest) -> str:
    """The same for as long as the session lasts: looking twice must not spoil a scanned code."""
    try:
        return sealing.unseal(request.session.get(PENDING, ""))
    except sealing.Unreadable:
        secret: str = generate_totp_secret()
        request.session[PENDING] = sealing.seal(secret)
        return secret


@login_required
@require_POST
@reauthentication_required
def remove_app(request: UserRequest) -> HttpResponse:
    row = get_object_or_404(Authenticator, user=request.user, type=second_factor.APP)
    return remove(request, row, "The authenticator app is removed.")


def remove(request: UserRequest, row: Authenticator, sentence: str) -> HttpResponse:
    """Take one away and say so, or why not."""
    try:
        actions.remove_second_factor(request.user, row)
    except Refused as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, sentence)
    return redirect("mfa_index")


@never_cache
@login_required
@require_safe
@reauthentication_required
def recovery_codes(request: UserRequest) -> HttpResponse:
    return render(request, "mfa/codes.html", {"codes": _codes_of(request)})


@never_cache
@login_required
@require_safe
@reauthentication_required
def download_recovery_codes(request: UserRequest) -> HttpResponse:
    context = {"codes": _codes_of(request)}
    answer = render(request, "mfa/codes.txt", context, content_type="text/plain; charset=utf-8")
    answer["Content-Disposition"] = 'attachment; filename="recovery-codes.txt"'
    return answer


def _codes_of(request: UserRequest) -> list[str]:
    codes = actions.recovery_codes(request.user)
    if codes is None:
        raise Http404
    return codes


@login_required
@require_POST
@reauthentication_required
def renew_recovery_codes(request: UserRequest) -> HttpResponse:
    try:
        actions.renew_recovery_codes(request.user)
    except Refused as refused:
        messages.error(request, str(refused))
        return redirect("mfa_index")
    messages.success(request, "These are your new recovery codes. Those of before are worthless.")
    return redirect("mfa_view_recovery_codes")
