"""A person's SSH keys."""

import uuid

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from core.errors import Refused
from core.http import UNPROCESSABLE
from registration import actions
from registration.doors import UserRequest, answers, path_to
from registration.forms.keys import KeyForm
from registration.models import SshKey


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def index(request: UserRequest) -> HttpResponse:
    form = KeyForm(answers(request))
    there = path_to(request, "")
    if form.is_valid():
        data = form.cleaned_data
        try:
            key = actions.add_key(
                owner=request.user,
                text=data["public_key"],
                name=data["name"],
                is_default=data["is_default"],
            )
        except Refused as refused:
            form.refuse(refused)
        else:
            messages.success(request, f"The key {key.name} is kept. New machines can let it in.")
            return HttpResponseRedirect(there or reverse("registration:keys"))
    context = {
        "form": form,
        "keys": request.user.ssh_keys.all(),
        "most": actions.MOST_KEYS,
        "next": there,
    }
    status = UNPROCESSABLE if form.is_bound else 200
    return render(request, "registration/keys.html", context, status=status)


def _own_key(request: UserRequest, key: uuid.UUID) -> SshKey:
    return get_object_or_404(SshKey.objects.select_related("owner"), owner=request.user, uuid=key)


@login_required
@require_POST
def make_default(request: UserRequest, uuid: uuid.UUID) -> HttpResponse:
    key = _own_key(request, uuid)
    actions.make_default_key(key)
    messages.success(request, f"New machines are offered {key.name} first.")
    return redirect("registration:keys")


@login_required
@require_POST
def remove(request: UserRequest, uuid: uuid.UUID) -> HttpResponse:
    key = _own_key(request, uuid)
    actions.remove_key(key)
    messages.success(request, f"The key {key.name} is removed. Machines that run still know it.")
    return redirect("registration:keys")
