"""A person's webhooks, and the log of what went to them."""

import uuid
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core.errors import Refused
from core.http import UNPROCESSABLE, is_fragment, query_without
from registration import actions
from registration.doors import UserRequest, answers, find_or_404
from registration.forms.notifications import ChangeWebhookForm, WebhookForm
from registration.models import Delivery, Webhook

ROWS = 20


@login_required
@never_cache
@require_safe
def index(request: UserRequest) -> HttpResponse:
    return render(request, "registration/webhooks.html", _context(request, WebhookForm()))


def _context(request: UserRequest, form: WebhookForm) -> dict[str, Any]:
    own = Webhook.objects.visible_to(request.user)
    return {"form": form, "hooks": list(own), "most": actions.MOST_WEBHOOKS}


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_variables("secret")
def add(request: UserRequest) -> HttpResponse:
    """The answer to the form is the one page that ever shows the secret."""
    if request.method != "POST":
        return redirect("registration:webhooks")
    form = WebhookForm(request.POST)
    if form.is_valid():
        data = form.cleaned_data
        try:
            hook, secret = actions.add_webhook(
                owner=request.user, url=data["url"], kinds=data["kinds"]
            )
        except Refused as refused:
            form.refuse(refused)
        else:
            return _secret_page(request, hook, secret)
    context = _context(request, form)
    return render(request, "registration/webhooks.html", context, status=UNPROCESSABLE)


@sensitive_variables("secret")
def _secret_page(request: UserRequest, hook: Webhook, secret: str) -> HttpResponse:
    context = {"hook": hook, "secret": secret, "crumbs": _crumbs()}
    return render(request, "registration/webhook_secret.html", context)


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def one(request: UserRequest, uuid: uuid.UUID) -> HttpResponse:
    hook = _find(request, uuid)
    data = answers(request)
    form = ChangeWebhookForm(data) if data is not None else ChangeWebhookForm.of(hook)
    if form.is_valid():
        try:
            actions.change_webhook(hook, by=request.user, **form.cleaned_data)
        except Refused as refused:
            form.refuse(refused)
        else:
            messages.success(request, "The webhook is saved.")
            return redirect("registration:webhook", hook.uuid)
    rows = Delivery.objects.visible_to(request.user).filter(webhook=hook)
    rows = rows.select_related("webhook").prefetch_related("attempts").order_by("-pk")
    context = {
        "hook": hook,
        "form": form,
        "page": Paginator(rows, ROWS).get_page(request.GET.get("page")),
        "query": query_without(request, "page"),
        "crumbs": _crumbs(),
    }
    if is_fragment(request) and not form.is_bound:
        return render(request, "registration/_deliveries.html", context)
    status = UNPROCESSABLE if form.is_bound else 200
    return render(request, "registration/webhook.html", context, status=status)


@login_required
@require_POST
def test(request: UserRequest, uuid: uuid.UUID) -> HttpResponse:
    hook = _find(request, uuid)
    try:
        actions.test_webhook(hook, by=request.user)
    except Refused as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, "A test is on its way; the log below shows the answer.")
    return redirect("registration:webhook", hook.uuid)


@login_required
@never_cache
@require_POST
@sensitive_variables("fresh")
def secret(request: UserRequest, uuid: uuid.UUID) -> HttpResponse:
    hook = _find(request, uuid)
    try:
        fresh = actions.renew_webhook_secret(hook, by=request.user)
    except Refused as refused:
        messages.error(request, str(refused))
        return redirect("registration:webhook", hook.uuid)
    return _secret_page(request, hook, fresh)


@login_required
@require_POST
def remove(request: UserRequest, uuid: uuid.UUID) -> HttpResponse:
    hook = _find(request, uuid)
    actions.remove_webhook(hook, by=request.user)
    messages.success(request, "The webhook is removed: nothing is sent to it any more.")
    return redirect("registration:webhooks")


@login_required
@require_POST
def again(request: UserRequest, uuid: uuid.UUID) -> HttpResponse:
    """Send a delivery once more."""
    own = Delivery.objects.visible_to(request.user).select_related("webhook__owner")
    delivery = find_or_404(own, request, uuid=uuid)
    try:
        actions.send_again(delivery, by=request.user)
    except Refused as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, "It is on its way again.")
    return redirect("registration:webhook", delivery.webhook.uuid)


def _find(request: UserRequest, key: uuid.UUID) -> Webhook:
    own = Webhook.objects.visible_to(request.user).select_related("owner")
    return find_or_404(own, request, uuid=key)


def _crumbs() -> list[dict[str, str]]:
    return [{"label": "Webhooks", "url": reverse("registration:webhooks")}]
