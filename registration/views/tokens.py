"""A person's API tokens."""

import uuid
from typing import Any

from allauth.account.decorators import reauthentication_required
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_safe

from core.errors import Refused
from core.http import UNPROCESSABLE
from registration import actions
from registration.doors import UserRequest, find_or_404
from registration.forms.tokens import TokenForm
from registration.models import ApiToken

#: Tokens that ended, of which the page still tells.
ENDED = 20


@login_required
@never_cache
@require_safe
def index(request: UserRequest) -> HttpResponse:
    return render(request, "registration/tokens.html", _context(request, TokenForm()))


def _context(request: UserRequest, form: TokenForm) -> dict[str, Any]:
    own = ApiToken.objects.visible_to(request.user)
    good = list(own.good())
    known = [token.pk for token in good]
    return {
        "form": form,
        "tokens": good,
        "ended": own.exclude(pk__in=known)[:ENDED],
        "most": actions.MOST_TOKENS,
        "api_url": f"{settings.PORTAL_URL}/api/v1",
    }


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@reauthentication_required(allow_get=True)
@sensitive_variables("text")
def create(request: UserRequest) -> HttpResponse:
    """The answer to the form is the one page that ever shows the token's text."""
    if request.method != "POST":
        return redirect("registration:tokens")
    form = TokenForm(request.POST)
    if form.is_valid():
        data = form.cleaned_data
        try:
            token, text = actions.create_token(
                owner=request.user,
                name=data["name"],
                scope=data["scope"],
                expires_at=form.expires_at(),
            )
        except Refused as refused:
            form.refuse(refused)
        else:
            context = _context(request, TokenForm()) | {"fresh": token, "fresh_text": text}
            return render(request, "registration/tokens.html", context)
    return render(
        request, "registration/tokens.html", _context(request, form), status=UNPROCESSABLE
    )


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@reauthentication_required(allow_get=True)
def revoke(request: UserRequest, uuid: uuid.UUID) -> HttpResponse:
    own = ApiToken.objects.visible_to(request.user).select_related("owner")
    token = find_or_404(own, request, "token_revoked", uuid=uuid)
    if request.method == "POST":
        actions.revoke_token(token, by=request.user)
        messages.success(request, f"The token {token.name} is revoked: it opens nothing now.")
    return redirect("registration:tokens")
