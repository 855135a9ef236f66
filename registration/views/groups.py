"""Groups: one's own, one of them, and invitations."""

import uuid
from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import redirect_to_login
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core.errors import Refused
from core.http import UNPROCESSABLE, is_fragment
from registration import actions, names
from registration.actions import groups
from registration.doors import UserRequest, answers, find_or_404, note_denial
from registration.forms.groups import GroupForm, InviteForm
from registration.models import Group, Invitation, Membership, Role

ROWS = 50
GONE = 404


@login_required
@require_safe
def index(request: UserRequest) -> HttpResponse:
    template = "registration/_groups.html" if is_fragment(request) else "registration/groups.html"
    return render(request, template, _list_context(request))


def _list_context(request: UserRequest) -> dict[str, Any]:
    wants_all = request.user.is_staff and bool(request.GET.get("all"))
    text = names.one_line(request.GET.get("q", ""))[:100]
    own = Group.objects.of(request.user)
    rows = Group.objects.with_size() if wants_all else own
    query = request.GET.copy()
    query.pop("page", None)
    invitations = Invitation.objects.to(request.user).select_related("group", "invited_by")
    return {
        "page": Paginator(rows.search(text), ROWS).get_page(request.GET.get("page")),
        "query": query.urlencode(),
        "q": text,
        "wants_all": wants_all,
        "invitations": invitations,
    }


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: UserRequest) -> HttpResponse:
    form = GroupForm(answers(request))
    if form.is_valid():
        try:
            group = actions.create_group(owner=request.user, **form.cleaned_data)
        except Refused as refused:
            form.refuse(refused)
        else:
            messages.success(request, f"The group {group} is made. Invite people to it.")
            return redirect(group)
    crumbs = [{"label": "Groups", "url": reverse("registration:groups")}]
    status = UNPROCESSABLE if form.is_bound else 200
    context = {"form": form, "crumbs": crumbs}
    return render(request, "registration/group_form.html", context, status=status)


def _find(request: UserRequest, key: uuid.UUID) -> Group:
    return find_or_404(Group.objects.visible_to(request.user), request, uuid=key)


@login_required
@require_safe
def detail(request: UserRequest, uuid: uuid.UUID) -> HttpResponse:
    group = _find(request, uuid)
    template = "registration/_group.html" if is_fragment(request) else "registration/group.html"
    return render(request, template, _context(request, group, InviteForm()))


def _context(request: UserRequest, group: Group, form: InviteForm) -> dict[str, Any]:
    members = group.memberships.select_related("user")
    mine = group.memberships.filter(user=request.user).first()
    keeps = groups.keeps(group, request.user)
    invitations = group.invitations.select_related("user", "invited_by") if keeps else []
    return {
        "group": group,
        "mine": mine,
        "keeps": keeps,
        "page": Paginator(members, ROWS).get_page(request.GET.get("page")),
        "invitations": invitations,
        "form": form,
        "crumbs": [{"label": "Groups", "url": reverse("registration:groups")}],
    }


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def change(request: UserRequest, uuid: uuid.UUID) -> HttpResponse:
    group = _find(request, uuid)
    if not groups.keeps(group, request.user):
        note_denial(group, "group_changed", request)
        return _refuse(request, group, Refused("not_owner", "Only an owner may change a group."))
    data = answers(request)
    texts = {"name": group.name, "description": group.description}
    form = GroupForm(data) if data is not None else GroupForm(initial=texts)
    if form.is_valid():
        try:
            actions.change_group(group, by=request.user, **form.cleaned_data)
        except Refused as refused:
            form.refuse(refused)
        else:
            messages.success(request, "The group is changed.")
            return redirect(group)
    crumbs = [
        {"label": "Groups", "url": reverse("registration:groups")},
        {"label": group.name, "url": group.get_absolute_url()},
    ]
    status = UNPROCESSABLE if form.is_bound else 200
    context = {"form": form, "group": group, "crumbs": crumbs}
    return render(request, "registration/group_form.html", context, status=status)


def _refuse(request: UserRequest, group: Group, refused: Refused) -> HttpResponse:
    messages.error(request, str(refused))
    return redirect(group)


@login_required
@require_POST
def delete(request: UserRequest, uuid: uuid.UUID) -> HttpResponse:
    group = _find(request, uuid)
    try:
        actions.delete_group(group, by=request.user, typed=request.POST.get("typed", ""))
    except Refused as refused:
        return _refuse(request, group, refused)
    messages.success(request, f"The group {group} is deleted.")
    return redirect("registration:groups")


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def invite(request: UserRequest, uuid: uuid.UUID) -> HttpResponse:
    group = _find(request, uuid)
    if request.method != "POST":  # a refused form's address, opened anew
        return redirect(group)
    form = InviteForm(request.POST)
    if form.is_valid():
        try:
            invitation = actions.invite(group, by=request.user, whom=form.cleaned_data["whom"])
        except Refused as refused:
            form.refuse(refused)
        else:
            whom = invitation.user or invitation.email
            messages.success(request, f"{whom} is invited, and gets a mail.")
            return redirect(group)
    context = _context(request, group, form)
    return render(request, "registration/group.html", context, status=UNPROCESSABLE)


@login_required
@require_POST
def leave(request: UserRequest, uuid: uuid.UUID) -> HttpResponse:
    group = _find(request, uuid)
    try:
        actions.leave_group(group, by=request.user)
    except Refused as refused:
        return _refuse(request, group, refused)
    messages.success(request, f"You have left {group}.")
    return redirect("registration:groups")


@login_required
@require_POST
def member(request: UserRequest, uuid: uuid.UUID, person: uuid.UUID, verb: str) -> HttpResponse:
    """Promote, demote or remove one person."""
    group = _find(request, uuid)
    membership = get_object_or_404(
        Membership.objects.select_related("user"), group=group, user__uuid=person
    )
    user = membership.user
    done: dict[str, tuple[Callable[[], None], str]] = {
        "promote": (
            lambda: actions.set_role(group, user, role=Role.OWNER, by=request.user),
            f"{user} is an owner now.",
        ),
        "demote": (
            lambda: actions.set_role(group, user, role=Role.MEMBER, by=request.user),
            f"{user} is a member now.",
        ),
        "remove": (
            lambda: actions.remove_member(group, user, by=request.user),
            f"{user} is not in the group any more.",
        ),
    }
    if verb not in done:
        raise Http404
    act, sentence = done[verb]
    try:
        act()
    except Refused as refused:
        return _refuse(request, group, refused)
    messages.success(request, sentence)
    return redirect(group)


@login_required
@require_POST
def withdraw(request: UserRequest, uuid: uuid.UUID, invitation: uuid.UUID) -> HttpResponse:
    group = _find(request, uuid)
    found = get_object_or_404(Invitation, group=group, uuid=invitation)
    try:
        actions.withdraw_invitation(found, by=request.user)
    except Refused as refused:
        return _refuse(request, group, refused)
    messages.success(request, f"The invitation of {found.user or found.email} is withdrawn.")
    return redirect(group)


@login_required
@require_POST
def answer(request: UserRequest, invitation: uuid.UUID, verb: str) -> HttpResponse:
    """Accept or decline an invitation that is shown on one's own page."""
    mine = Invitation.objects.to(request.user).select_related("group")
    found = find_or_404(mine, request, f"invitation_{verb}", uuid=invitation)
    return _answer(request, found, verb, has_link=False)


def _answer(
    request: UserRequest, invitation: Invitation, verb: str, *, has_link: bool
) -> HttpResponse:
    try:
        if verb == "accept":
            group = actions.accept_invitation(invitation, by=request.user, has_link=has_link)
            messages.success(request, f"You are in {group} now.")
            return redirect(group)
        if verb == "decline":
            actions.decline_invitation(invitation, by=request.user, has_link=has_link)
            messages.success(request, f"You are not in {invitation.group}, as you wished.")
            return redirect("registration:groups")
    except Refused as refused:
        messages.error(request, str(refused))
        return redirect("registration:groups")
    raise Http404


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def invitation(request: UserRequest, token: str) -> HttpResponse:
    """The link in a mail. Opening it changes nothing; it tells whoever holds it who invites."""
    if not request.user.is_authenticated and request.method == "POST":
        return redirect_to_login(request.get_full_path())
    found = actions.find_invitation(token)
    if not request.user.is_authenticated:
        return render(
            request,
            "registration/invitation_visitor.html",
            {"invitation": found},
            status=GONE if found is None else 200,
        )
    if found is None:
        return render(request, "registration/invitation_over.html", status=GONE)
    if request.method == "POST":
        return _answer(request, found, request.POST.get("answer", ""), has_link=True)
    is_in = found.group.memberships.filter(user=request.user).exists()
    context = {"invitation": found, "is_in": is_in}
    return render(request, "registration/invitation.html", context)
