"""Drafts: their list, their form, what comes of it, and the signature that makes it an entry."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core.errors import Refused
from core.http import UNPROCESSABLE, is_fragment
from marketplace import actions, documents
from marketplace.actions import drafts
from marketplace.forms.drafts import DraftForm
from marketplace.forms.signing import ReadersForm, SignForm
from marketplace.models import Draft, Entry, Pending
from marketplace.states import DraftSource, DraftState, Kind
from registration.doors import UserRequest, address_of, answers, find_or_404
from volumes.models import Volume

PAGE_SIZE = 25
_WAIT = (
    "What you wrote is saved. The image is still being measured: go on when it is ready to sign."
)
_FAILED = "What you wrote is saved. The image could not be measured: see why, and try it again."
_NOT_READY = {DraftState.WANTED: _WAIT, DraftState.MEASURING: _WAIT}


def _find(request: UserRequest, key: UUID, verb: str = "") -> Draft:
    """One's own: not even an administrator writes what somebody else is about to say."""
    own = Draft.objects.filter(owner=request.user)
    rows = own.select_related("owner", "volume", "based_on", "based_on__owner", "entry", "pending")
    found: Draft = find_or_404(rows, request, verb, uuid=key)
    return found


@login_required
@require_safe
def index(request: UserRequest) -> HttpResponse:
    own = Draft.objects.filter(owner=request.user).exclude(state=DraftState.DROPPED)
    rows = own.select_related("volume", "entry", "based_on", "pending")
    page = Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page"))
    template = "_drafts.html" if is_fragment(request) else "drafts.html"
    return render(request, f"marketplace/{template}", {"page": page})


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def draft(request: UserRequest, key: UUID) -> HttpResponse:
    """The form. What is sent is kept, good or not; a good one goes on to the signature."""
    found = _find(request, key)
    if is_fragment(request) and request.method != "POST":
        return render(request, "marketplace/_measured.html", {"draft": found})
    if found.state not in drafts.OPEN:
        return _over(request, found)
    if found.is_waiting:
        context = {"draft": found, "pending": found.pending, "crumbs": _crumbs()}
        return render(request, "marketplace/draft_waiting.html", context)
    form = DraftForm(answers(request), draft=found)
    if not form.is_bound:
        return render(request, "marketplace/draft.html", _context(found, form))
    try:
        drafts.keep_draft(found, form.answers())
    except Refused as refused:
        form.full_clean()
        form.refuse(refused)
        return _refused(request, found, form)
    if is_fragment(request):
        return render(request, "marketplace/_preview.html", _preview(found, form))
    if request.POST.get("go") != "sign":
        messages.success(request, "The draft is saved.")
        return redirect(found)
    if form.is_valid() and found.state != DraftState.READY:
        form.add_error(None, _NOT_READY.get(DraftState(found.state), _FAILED))
    if not form.is_valid():
        return _refused(request, found, form)
    return redirect("marketplace:sign", found.uuid)


def _over(request: UserRequest, found: Draft) -> HttpResponse:
    if found.entry is not None:
        return redirect(found.entry.permalink)
    messages.info(request, "This draft was thrown away.")
    return redirect("marketplace:drafts")


def _refused(request: UserRequest, found: Draft, form: DraftForm) -> HttpResponse:
    context = _context(found, form)
    return render(request, "marketplace/draft.html", context, status=UNPROCESSABLE)


def _context(found: Draft, form: DraftForm) -> dict[str, Any]:
    return {
        "draft": found,
        "form": form,
        "is_disk": found.about == DraftSource.DISK,
        "is_machine": form["kind"].value() != Kind.DISK,
        "crumbs": _crumbs(),
        **_preview(found, form if form.is_bound else _bound(found)),
    }


def _crumbs() -> list[dict[str, str]]:
    return [
        {"label": "Marketplace", "url": reverse("marketplace:catalogue")},
        {"label": "Drafts", "url": reverse("marketplace:drafts")},
    ]


def _bound(found: Draft) -> DraftForm:
    """The form as if it had just been sent with what it shows."""
    shown = DraftForm(draft=found)
    said = {name: shown[name].value() for name in shown.fields}
    return DraftForm({name: value for name, value in said.items() if value is not None},
                     draft=found)  # fmt: skip


def _preview(found: Draft, form: DraftForm) -> dict[str, Any]:
    """The document as it would be, and what is still wrong with it."""
    problems = [
        f"{form.fields[name].label if name in form.fields else 'The form'}: {error}"
        for name, errors in form.errors.items()
        for error in errors
    ]
    xml = ""
    broken: list[str] = []
    if not problems and found.identifier:
        xml, broken = _written(form)
    wrong = list(form.errors)
    return {"draft": found, "xml": xml, "problems": problems + broken, "wrong": wrong}


def _written(form: DraftForm) -> tuple[str, list[str]]:
    try:
        written = documents.write(form.metadata())
    except documents.Broken as broken:
        return "", [problem.sentence for problem in broken.problems]
    return written.decode(), []


@login_required
@never_cache
@require_safe
def preview(request: UserRequest, key: UUID) -> HttpResponse:
    found = _find(request, key)
    return render(request, "marketplace/_preview.html", _preview(found, _bound(found)))


@login_required
@require_POST
def drop(request: UserRequest, key: UUID) -> HttpResponse:
    found = _find(request, key, "dropped")
    try:
        drafts.drop_draft(found, by=request.user)
    except Refused as refused:
        messages.error(request, str(refused))
        return redirect(found)
    messages.success(request, "The draft is thrown away.")
    return redirect("marketplace:drafts")


@login_required
@require_POST
def retry(request: UserRequest, key: UUID) -> HttpResponse:
    found = _find(request, key, "measure_again")
    try:
        drafts.measure_again(found, by=request.user, url=request.POST.get("url", "").strip())
    except Refused as refused:
        messages.error(request, str(refused))
    return redirect(found)


@login_required
@never_cache
@sensitive_post_parameters("password", "file")
@sensitive_variables("pen")
@require_http_methods(["GET", "HEAD", "POST"])
def sign(request: UserRequest, key: UUID) -> HttpResponse:
    """The last page: what will be said, to whom, and with which key."""
    found = _find(request, key)
    if found.state not in drafts.OPEN:
        return _over(request, found)
    if found.is_waiting:
        return redirect(found)
    said = _bound(found)
    shown = _preview(found, said)
    if found.state != DraftState.READY or shown["problems"]:
        messages.error(request, "Not ready to be signed: see what is missing.")
        return redirect(found)
    pens = SignForm(answers(request), request.FILES or None, user=request.user)
    readers = ReadersForm(
        answers(request), user=request.user, disks=_disks(found, said.metadata().kind),
        initial=_readers_before(found),
    )  # fmt: skip
    if pens.is_valid() and readers.is_valid():
        try:
            made = actions.publish_draft(
                found, by=request.user, said=said.said(), readers=readers.readers(),
                pen=pens.pen(), address=address_of(request),
                ask_by_mail=pens.cleaned_data.get("ask_by_mail", False),
            )  # fmt: skip
        except Refused as refused:
            (readers if refused.field in readers.fields else pens).refuse(refused)
        except documents.Broken as broken:
            for problem in broken.problems:
                pens.add_error(None, problem.sentence)
        else:
            return _published(request, found, made)
    context = {
        **shown,
        "said": said,
        "metadata": said.metadata(),
        "pens": pens,
        "readers": readers,
        "unconfirmed": said.unconfirmed(),
        "is_disk": found.about == DraftSource.DISK,
        "crumbs": [*_crumbs(), {"label": str(found), "url": found.get_absolute_url()}],
    }
    status = UNPROCESSABLE if pens.is_bound else 200
    return render(request, "marketplace/sign.html", context, status=status)


def _disks(found: Draft, kind: str) -> list[Volume]:
    """What is looked into before everybody has it."""
    return [found.volume] if found.volume is not None and kind == Kind.MACHINE else []


def _readers_before(found: Draft) -> dict[str, Any]:
    """Of what is said again, those who may read it now."""
    entry = found.based_on
    if entry is None:
        return {}
    return {"visibility": entry.visibility, "group": entry.group.uuid if entry.group else None}


def _published(request: UserRequest, found: Draft, made: Entry | Pending) -> HttpResponse:
    if isinstance(made, Pending):
        messages.info(
            request,
            f"A mail was sent to {made.email}: the entry is published when its link is used.",
        )
        return redirect(found)
    if made.publications.waiting().exists():
        messages.info(
            request,
            "Signed. An administrator is asked before everybody reads it: until then it is yours "
            "alone.",
        )
    else:
        messages.success(request, "Signed and published.")
    return redirect(made.permalink)
