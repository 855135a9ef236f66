"""What a person was told: the bell of every page, the history, and how it goes by mail."""

import uuid
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core import live
from core.errors import Refused
from core.http import is_fragment, query_without
from registration import actions
from registration.doors import UserRequest, find_or_404, path_to
from registration.forms.notifications import FilterForm
from registration.models import Notification, choices_of
from registration.notices import NOTICES, Mail

ROWS = 25


@login_required
@never_cache
@require_safe
def index(request: UserRequest) -> HttpResponse:
    form = FilterForm(request.GET)
    rows = Notification.objects.visible_to(request.user)
    if form.is_valid():
        if kind := form.cleaned_data["kind"]:
            rows = rows.filter(kind=kind)
        if form.cleaned_data["unread"]:
            rows = rows.unread()
    context = {
        "form": form,
        "is_filtered": form.is_used,
        "page": Paginator(rows.order_by("-pk"), ROWS).get_page(request.GET.get("page")),
        "query": query_without(request, "page"),
        "keep_days": settings.PORTAL_NOTIFICATION_DAYS,
    }
    fragment = is_fragment(request)
    template = "registration/_notifications.html" if fragment else "registration/notifications.html"
    return render(request, template, context)


@login_required
@never_cache
@require_safe
def bell(request: UserRequest) -> HttpResponse:
    """The bell by itself: pages fetch it anew when there is news."""
    return render(request, "registration/_bell.html")


@login_required
@require_POST
def open_one(request: UserRequest, uuid: uuid.UUID) -> HttpResponse:
    """Read it, and go to what it is about, if that is still there for whoever asks."""
    note = _find(request, uuid)
    actions.read_notifications(request.user, only=note)
    if not note.url:
        return redirect("registration:notifications")
    is_about = note.about is not None
    if is_about and not live.is_seen_by(request.user, note.about_kind, str(note.about)):
        name = note.about_name or "What this notification is about"
        messages.info(request, f"{name} is no longer there, or no longer yours to see.")
        return redirect("registration:notifications")
    return HttpResponseRedirect(note.url)


@login_required
@require_POST
def read_one(request: UserRequest, uuid: uuid.UUID) -> HttpResponse:
    note = _find(request, uuid)
    actions.read_notifications(request.user, only=note)
    if is_fragment(request):
        return render(request, "registration/_notification.html", {"note": _find(request, uuid)})
    return _back(request)


@login_required
@require_POST
def read_all(request: UserRequest) -> HttpResponse:
    many = actions.read_notifications(request.user)
    words = {0: "All notifications were read already.", 1: "1 notification is marked as read."}
    said = words.get(many, f"{many} notifications are marked as read.")
    messages.success(request, said)
    return _back(request)


def _find(request: UserRequest, key: uuid.UUID) -> Notification:
    return find_or_404(Notification.objects.visible_to(request.user), request, uuid=key)


def _back(request: UserRequest) -> HttpResponse:
    there = path_to(request, reverse("registration:notifications"))
    return HttpResponseRedirect(there)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def choices(request: UserRequest) -> HttpResponse:
    """Which kinds go by mail."""
    if request.method == "POST":
        try:
            actions.choose_mails(request.user, request.POST.getlist("mail"))
        except Refused as refused:
            messages.error(request, str(refused))
        else:
            messages.success(request, "What you get by mail is saved.")
        return redirect("registration:notification_choices")
    return render(request, "registration/notification_choices.html", _choices(request))


def _choices(request: UserRequest) -> dict[str, Any]:
    chosen = choices_of(request.user)
    hooks = [hook for hook in request.user.webhooks.all() if hook.is_on]
    rows = [
        {
            "notice": one,
            "is_fixed": one.mail == Mail.ALWAYS,
            "hooks": [hook for hook in hooks if one.name in hook.kinds],
            "by_mail": one.mail == Mail.ALWAYS or chosen.get(one.name, one.mail == Mail.YES),
        }
        for one in NOTICES.values()
    ]
    return {"rows": rows}
