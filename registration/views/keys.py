"""A person's SSH keys."""

import uuid

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core.errors import Refused
from core.http import UNPROCESSABLE
from registration import actions
from registration.acting import who_acts
from registration.doors import UserRequest, find_or_404, path_to
from registration.forms.keys import KeyForm
from registration.models import SshKey


@login_required
@require_safe
def index(request: UserRequest) -> HttpResponse:
    return _page(request, KeyForm())


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def add(request: UserRequest) -> HttpResponse:
    if request.method != "POST":  # a refused form's address, opened anew
        return redirect("registration:keys")
    form = KeyForm(request.POST, request.FILES)
    if form.is_valid():
        try:
            key = actions.add_key(
                owner=request.user,
                text=form.key_text(),
                name=form.cleaned_data["name"],
                is_default=form.cleaned_data["is_default"],
            )
        except Refused as refused:
            form.refuse(refused)
        else:
            messages.success(request, f"The key {key.name} is kept. New machines can let it in.")
            there = path_to(request, reverse("registration:keys"))
            return HttpResponseRedirect(there)
    return _page(request, form)


def _page(request: UserRequest, form: KeyForm) -> HttpResponse:
    context = {
        "form": form,
        "keys": request.user.ssh_keys.all(),
        "most": actions.MOST_KEYS,
        "next": path_to(request, ""),
        "is_theirs": who_acts(request) is None,
    }
    status = UNPROCESSABLE if form.is_bound else 200
    return render(request, "registration/keys.html", context, status=status)


def _own_key(request: UserRequest, key: uuid.UUID) -> SshKey:
    own = SshKey.objects.select_related("owner").filter(owner=request.user)
    return find_or_404(own, request, uuid=key)


@login_required
@require_POST
def rename(request: UserRequest, uuid: uuid.UUID) -> HttpResponse:
    key = _own_key(request, uuid)
    was = key.name
    try:
        actions.rename_key(key, name=request.POST.get("name", ""))
    except Refused as refused:
        messages.error(request, f"{was} keeps its name. {refused}")
    else:
        messages.success(request, f"The key {was} is called {key.name} now.")
    return redirect("registration:keys")


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
