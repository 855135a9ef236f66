"""The certificates that the site trusts, for its administrators."""

import uuid
from typing import Any

from cryptography import x509
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from core.errors import Refused
from core.http import UNPROCESSABLE
from marketplace.actions import certificates as actions
from marketplace.documents.names import name_in_words
from marketplace.forms.certificates import ChangeForm, TrustForm
from marketplace.models import Document, TrustedCertificate
from registration.doors import UserRequest, administrators_only, answers


@administrators_only
@require_http_methods(["GET", "HEAD", "POST"])
def index(request: UserRequest) -> HttpResponse:
    form = TrustForm(answers(request), request.FILES or None)
    if form.is_valid():
        said = form.cleaned_data
        try:
            row = actions.trust_certificate(
                form.content(),
                by=request.user,
                is_authority=said["is_authority"],
                skips_mail=said["skips_mail"],
                note=said["note"],
            )
        except Refused as refused:
            form.refuse(refused)
        else:
            messages.success(request, f"From now on, {row} is trusted.")
            return redirect("marketplace:certificates")
    rows = TrustedCertificate.objects.select_related("created_by")
    context = {"form": form, "certificates": rows, "now": timezone.now()}
    status = UNPROCESSABLE if form.is_bound else 200
    return render(request, "marketplace/certificates.html", context, status=status)


@administrators_only
@require_http_methods(["GET", "HEAD", "POST"])
def certificate(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    row = get_object_or_404(TrustedCertificate.objects.select_related("created_by"), uuid=key)
    shown = {name: getattr(row, name) for name in ("is_authority", "skips_mail", "note")}
    form = ChangeForm(answers(request), initial=shown)
    if form.is_valid():
        try:
            actions.change_certificate(row, by=request.user, **form.cleaned_data)
        except Refused as refused:
            form.refuse(refused)
        else:
            messages.success(request, "Saved. Entries are weighed again in a moment.")
            return redirect("marketplace:certificate", row.uuid)
    status = UNPROCESSABLE if form.is_bound else 200
    return render(request, "marketplace/certificate.html", _context(row, form), status=status)


def _context(row: TrustedCertificate, form: ChangeForm) -> dict[str, Any]:
    read = x509.load_pem_x509_certificate(row.certificate.encode())
    return {
        "certificate": row,
        "form": form,
        "issuer": name_in_words(read.issuer),
        "not_before": read.not_valid_before_utc,
        "is_over": row.not_after < timezone.now(),
        "signed": Document.objects.filter(fingerprint=row.fingerprint).count(),
        "crumbs": [{"label": "Trusted certificates", "url": reverse("marketplace:certificates")}],
    }


@administrators_only
@require_POST
def remove(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    row = get_object_or_404(TrustedCertificate, uuid=key)
    actions.distrust_certificate(row, by=request.user)
    messages.success(request, f"{row} is no longer on the list. What it signed stays.")
    return redirect("marketplace:certificates")
