"""The links that prove an e-mail address: opening one changes nothing, pressing its button does."""

import uuid

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods

from core.errors import Refused
from registration import actions


@sensitive_variables("token")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def confirm_email(request: HttpRequest, uid: uuid.UUID, token: str) -> HttpResponse:
    """Mail scanners open links too, so a person presses a button."""
    try:
        if request.method == "POST":
            user = actions.confirm_email(uid, token)
            return render(request, "registration/email_confirmed.html", {"person": user})
        user = actions.person_to_confirm(uid, token)
    except Refused as refused:
        return _spent(request, refused)
    context = {"person": user, "uid": uid, "token": token}
    return render(request, "registration/confirm_email.html", context)


def _spent(request: HttpRequest, refused: Refused) -> HttpResponse:
    context = {"refusal": str(refused)}
    return render(request, "registration/confirm_spent.html", context, status=404)
