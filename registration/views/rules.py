"""What administrators write once for all requests: rules that let in, and reasons given often."""

import uuid
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from core.errors import Refused
from core.http import UNPROCESSABLE
from registration import actions
from registration.applicants import waiting_by_pattern
from registration.doors import UserRequest, administrators_only, answers
from registration.forms.moderation import ReasonForm, RuleForm
from registration.models import ApprovalRule, ReasonTemplate

#: Of those whom a rule would let in, so many are shown by name.
MOST_SHOWN = 25


@administrators_only
@require_http_methods(["GET", "HEAD", "POST"])
def index(request: UserRequest) -> HttpResponse:
    form = RuleForm(answers(request))
    if form.is_valid():
        try:
            rule = actions.add_rule(by=request.user, **form.cleaned_data)
        except Refused as refused:
            form.refuse(refused)
        else:
            messages.success(request, f"From now on, {rule.pattern} is let in.")
            return redirect("registration:rule", rule.uuid)
    rules = list(ApprovalRule.objects.select_related("created_by"))
    waiting = waiting_by_pattern([rule.pattern for rule in rules])
    context = {"form": form, "rules": [(rule, waiting[rule.pattern]) for rule in rules]}
    return _form_page(request, "registration/rules.html", form, context)


@administrators_only
@require_http_methods(["GET", "HEAD", "POST"])
def rule(request: UserRequest, uuid: uuid.UUID) -> HttpResponse:
    known = get_object_or_404(ApprovalRule.objects.select_related("created_by"), uuid=uuid)
    shown = {"pattern": known.pattern, "note": known.note}
    form = RuleForm(answers(request), initial=shown)
    if form.is_valid():
        try:
            actions.change_rule(known, by=request.user, **form.cleaned_data)
        except Refused as refused:
            form.refuse(refused)
            known.refresh_from_db()
        else:
            messages.success(request, f"The rule for {known.pattern} is saved.")
            return redirect("registration:rule", known.uuid)
    waiting = actions.waiting_for(known)
    context = {
        "rule": known,
        "form": form,
        "waiting_people": waiting[:MOST_SHOWN],
        "waiting_count": len(waiting),
        "crumbs": [{"label": "Approval rules", "url": reverse("registration:rules")}],
    }
    return _form_page(request, "registration/rule.html", form, context)


@administrators_only
@require_POST
def act_on_rule(request: UserRequest, uuid: uuid.UUID, verb: str) -> HttpResponse:
    """Switch on or off, apply to those who wait, or remove."""
    known = get_object_or_404(ApprovalRule, uuid=uuid)
    try:
        messages.success(request, _act(request, known, verb))
    except Refused as refused:
        messages.error(request, str(refused))
    if verb == "remove":
        return redirect("registration:rules")
    return redirect("registration:rule", known.uuid)


def _act(request: UserRequest, known: ApprovalRule, verb: str) -> str:
    """Do it, and say what was done."""
    by = request.user
    if verb not in ("on", "off", "apply", "remove"):
        raise Http404
    if verb == "apply":
        done = actions.apply_rule(known, by=by)
        return f"Let in: {len(done)}. Each got an e-mail."
    if verb == "remove":
        actions.remove_rule(known, by=by)
        return f"The rule for {known.pattern} is removed. Whom it let in stays in."
    actions.switch_rule(known, by=by, is_enabled=verb == "on")
    return f"The rule for {known.pattern} is {'on' if verb == 'on' else 'off'}."


@administrators_only
@require_http_methods(["GET", "HEAD", "POST"])
def reasons(request: UserRequest) -> HttpResponse:
    form = ReasonForm(answers(request))
    if form.is_valid():
        try:
            actions.add_reason(by=request.user, **form.cleaned_data)
        except Refused as refused:
            form.refuse(refused)
        else:
            messages.success(request, "The reason is offered from now on.")
            return redirect("registration:reasons")
    context = {"form": form, "reasons": ReasonTemplate.objects.all(), "crumbs": _crumbs()}
    return _form_page(request, "registration/reasons.html", form, context)


@administrators_only
@require_http_methods(["GET", "HEAD", "POST"])
def reason(request: UserRequest, uuid: uuid.UUID) -> HttpResponse:
    known = get_object_or_404(ReasonTemplate, uuid=uuid)
    form = ReasonForm(answers(request), initial={"title": known.title, "text": known.text})
    if form.is_valid():
        try:
            actions.change_reason(known, by=request.user, **form.cleaned_data)
        except Refused as refused:
            form.refuse(refused)
        else:
            messages.success(request, "The reason is saved.")
            return redirect("registration:reasons")
    crumbs = [*_crumbs(), {"label": "Reasons", "url": reverse("registration:reasons")}]
    context = {"form": form, "reason": known, "crumbs": crumbs}
    return _form_page(request, "registration/reason.html", form, context)


def _crumbs() -> list[dict[str, str]]:
    return [{"label": "Registrations", "url": reverse("registration:queue")}]


@administrators_only
@require_POST
def remove_reason(request: UserRequest, uuid: uuid.UUID) -> HttpResponse:
    actions.remove_reason(get_object_or_404(ReasonTemplate, uuid=uuid), by=request.user)
    messages.success(request, "The reason is offered no more.")
    return redirect("registration:reasons")


def _form_page(
    request: UserRequest, template: str, form: RuleForm | ReasonForm, context: dict[str, Any]
) -> HttpResponse:
    return render(request, template, context, status=UNPROCESSABLE if form.is_bound else 200)
