"""The key that the portal keeps for a person, and the site's own certificate."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from core.errors import Refused
from core.http import UNPROCESSABLE
from marketplace import actions
from marketplace.actions.keys import SITE_SLOT
from marketplace.models import SigningKey
from registration.doors import (
    UserRequest,
    administrators_only,
    find_or_404,
    path_to,
    proof_first,
)

#: Keys that ended, of which the page still tells.
ENDED = 20


@login_required
@never_cache
@require_safe
def index(request: UserRequest) -> HttpResponse:
    return render(request, "marketplace/keys.html", _context(request))


def _context(request: UserRequest, refusal: str = "") -> dict[str, Any]:
    own = SigningKey.objects.filter(user=request.user)
    current = actions.key_of(request.user)
    return {
        "key": current,
        "ended": own.exclude(pk=current.pk if current else 0)[:ENDED],
        "site": SigningKey.objects.filter(slot=SITE_SLOT).first(),
        "former": actions.site_keys().filter(ended_at__isnull=False),
        "refusal": refusal,
        "next": path_to(request, ""),
        "speaks_for_another": current is not None
        and current.email.lower() != request.user.email.lower(),
    }


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@proof_first
def make(request: UserRequest) -> HttpResponse:
    """Make a key, or replace the one there is."""
    if request.method != "POST":
        return redirect("marketplace:keys")
    had = actions.key_of(request.user) is not None
    try:
        actions.new_key(request.user, request.user)
    except Refused as refused:
        context = _context(request, str(refused))
        return render(request, "marketplace/keys.html", context, status=UNPROCESSABLE)
    told = "The key is replaced: what the old one signed stays." if had else "Your key is ready."
    messages.success(request, told)
    return redirect(path_to(request, "") or "marketplace:keys")


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@proof_first
def end(request: UserRequest, key: UUID) -> HttpResponse:
    own = SigningKey.objects.filter(user=request.user).select_related("user")
    found = find_or_404(own, request, "signing_key_ended", uuid=key)
    return _ended(request, found)


@administrators_only
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@proof_first
def end_site(request: UserRequest) -> HttpResponse:
    """Have the site sign with another key from now on."""
    found = SigningKey.objects.filter(slot=SITE_SLOT).first()
    return _ended(request, found) if found else redirect("marketplace:keys")


def _ended(request: UserRequest, found: SigningKey) -> HttpResponse:
    if request.method != "POST":
        return redirect("marketplace:keys")
    try:
        actions.end_key(found, by=request.user)
    except Refused as refused:
        context = _context(request, str(refused))
        return render(request, "marketplace/keys.html", context, status=UNPROCESSABLE)
    messages.success(
        request, "The key is ended: it signs nothing any more, and what it signed stays."
    )
    return redirect("marketplace:keys")


@login_required
@require_safe
def certificate(request: UserRequest, key: UUID) -> HttpResponse:
    """The certificate of a key of one's own, for whoever wants to check what it signed."""
    own = SigningKey.objects.filter(user=request.user)
    return _pem(find_or_404(own, request, uuid=key), "stratuslab-signing")


@require_safe
def site_certificate(request: HttpRequest) -> HttpResponse:
    """The authority behind every key that this site keeps. Everybody may have it."""
    return _pem(actions.site_key(), "site-certificate")


@require_safe
def site_certificates(request: HttpRequest) -> HttpResponse:
    """That, and those of before, which what was signed with them needs: the newest first."""
    actions.site_key()
    every = "".join(key.certificate for key in actions.site_keys())
    return _answer(every, "site-certificates.pem")


@require_safe
def site_certificate_of(request: HttpRequest, key: UUID) -> HttpResponse:
    """One of them, for programs that read one of a file."""
    return _pem(find_or_404(actions.site_keys(), request, uuid=key), "site-certificate")


def _pem(key: SigningKey, name: str) -> HttpResponse:
    return _answer(key.certificate, f"{name}-{key.fingerprint[:8]}.pem")


def _answer(pem: str, name: str) -> HttpResponse:
    response = HttpResponse(pem, content_type="application/x-pem-file")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
