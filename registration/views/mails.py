"""Mails that stayed on this machine, for administrators."""

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from registration import mailbox
from registration.doors import UserRequest, administrators_only
from registration.emails import is_kept_in_files


@administrators_only
@never_cache
@require_safe
def index(request: UserRequest) -> HttpResponse:
    if not is_kept_in_files():
        raise Http404
    context = {"mails": mailbox.newest(), "most": mailbox.MOST}
    return render(request, "registration/mails.html", context)


@administrators_only
@never_cache
@require_safe
def detail(request: UserRequest, key: str) -> HttpResponse:
    mail = mailbox.find(key) if is_kept_in_files() else None
    if mail is None:
        raise Http404
    crumbs = [{"label": "Mails", "url": reverse("registration:mails")}]
    return render(request, "registration/mail.html", {"mail": mail, "crumbs": crumbs})
