"""The way back for an administrator who acts as somebody else."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from registration import acting, actions


@login_required
@require_POST
def stop(request: HttpRequest) -> HttpResponse:
    administrator = acting.who_acts(request)
    if administrator is None:  # it was over already
        return redirect("home")
    person = request.acts_for  # type: ignore[attr-defined]
    acting.stop(request)
    actions.stop_acting(person, by=administrator)
    messages.success(request, f"You are yourself again, and no longer {person}.")
    return redirect("vms:person", person.uuid)
