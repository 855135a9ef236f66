"""What is said of an entry later: that it is over, good for longer, vouched for by another."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from core.errors import Refused
from core.http import UNPROCESSABLE
from marketplace import documents, traces
from marketplace.actions import endorsing, readers, removing
from marketplace.actions.pens import Pen
from marketplace.forms.signing import (
    DeprecateForm,
    EndorseForm,
    ExtendForm,
    PenForm,
    ReadersForm,
    kinds_for,
)
from marketplace.models import Entry
from registration.doors import UserRequest, answers, find_or_404, note_denial

_WAITS = (
    "An administrator is asked already to open it to everybody, whatever you choose here for the "
    "meantime. Withdraw that on the entry's page if you want it no longer."
)

_WISH_ENDS = (
    "You have asked that everybody may read the entry as it is: that wish ends with this. Ask "
    "again on the page of the new entry."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What the page says around its form. ``notes`` say what it means, one sentence each."""

    heading: str
    submit: str
    told: str
    notes: Sequence[str] = ()
    is_destructive: bool = False


def _find(request: UserRequest, key: UUID, verb: str) -> Entry:
    rows = Entry.objects.visible_to(request.user).select_related("document", "owner", "group")
    return find_or_404(rows, request, verb, uuid=key)


def _theirs(request: UserRequest, key: UUID, verb: str) -> tuple[Entry, HttpResponse | None]:
    """The entry; and back to its page, if somebody else endorsed it."""
    entry = _find(request, key, verb)
    if endorsing.may_speak_for(entry, request.user):
        return entry, None
    note_denial(entry, verb, request)
    messages.error(
        request,
        f"Only {entry.endorser_email} may do this: an entry belongs to who endorsed it. You may "
        "endorse the image yourself.",
    )
    return entry, redirect(entry.permalink)


@login_required
@never_cache
@sensitive_post_parameters("password", "file")
@require_http_methods(["GET", "HEAD", "POST"])
def deprecate(request: UserRequest, key: UUID) -> HttpResponse:
    entry, away = _theirs(request, key, "deprecated")
    if away:
        return away
    form = DeprecateForm(*_sent(request), user=request.user, only=kinds_for(entry))
    question = Question(
        heading=f"Deprecate {entry}",
        submit="Deprecate it",
        told="Deprecated: nobody can launch it by this entry any more.",
        notes=(
            "A new entry says that the image should not be used any more. Machines that run go on; "
            "new ones cannot start from it by your word.",
            "Its page and its history stay, and its address leads there.",
        ),
        is_destructive=True,
    )
    return _ask(request, entry, form, question, lambda pen: endorsing.deprecate(
        entry, by=request.user, pen=pen, reason=form.cleaned_data["reason"],
    ))  # fmt: skip


@login_required
@never_cache
@sensitive_post_parameters("password", "file")
@require_http_methods(["GET", "HEAD", "POST"])
def remove(request: UserRequest, key: UUID) -> HttpResponse:
    """Deprecate an image of one's own, and put its disk into the bin."""
    entry, away = _theirs(request, key, "deprecated")
    if away:
        return away
    form = DeprecateForm(*_sent(request), user=request.user, only=kinds_for(entry))
    disks = removing.disks_of(entry, request.user)
    named = ", ".join(map(str, disks))
    question = Question(
        heading=f"Remove {entry}",
        submit="Remove it",
        told="Removed: nobody can launch it by this entry any more.",
        notes=(
            f"Goes: the disk {named}, into the bin for {settings.PORTAL_BIN_DAYS} days, and then "
            "for good."
            if disks
            else "No disk of yours on this site belongs to it.",
            "Goes: the site's copy of it, within minutes of the end of the last machine that needs "
            "it; unless somebody else vouches for the same image.",
            "Stays: a new entry that says that the image should not be used any more, with your "
            "reason; the old ones as its history; machines that run; and disks and images that "
            "were made from it.",
        ),
        is_destructive=True,
    )

    def act(pen: Pen) -> Entry:
        done = removing.remove_image(
            entry, by=request.user, pen=pen, reason=form.cleaned_data["reason"]
        )
        for disk, why in done.left:
            messages.error(request, f"The disk {disk} was not deleted: {why}")
        return done.entry

    return _ask(request, entry, form, question, act)


@login_required
@never_cache
@sensitive_post_parameters("password", "file")
@require_http_methods(["GET", "HEAD", "POST"])
def extend(request: UserRequest, key: UUID) -> HttpResponse:
    entry, away = _theirs(request, key, "extended")
    if away:
        return away
    form = ExtendForm(*_sent(request), user=request.user, only=kinds_for(entry))
    question = Question(
        heading=f"Extend {entry}",
        submit="Sign and extend",
        told="Extended: the new entry is published.",
        notes=(
            "You vouch for the image once more: that it is still fit to be used, with the security "
            "updates that it has or lacks.",
            *([_WISH_ENDS] if entry.publications.waiting().exists() else []),
        ),
    )
    return _ask(request, entry, form, question, lambda pen: endorsing.extend(
        entry, by=request.user, pen=pen, until=form.cleaned_data["valid"],
    ))  # fmt: skip


@login_required
@never_cache
@sensitive_post_parameters("password", "file")
@require_http_methods(["GET", "HEAD", "POST"])
def endorse(request: UserRequest, key: UUID) -> HttpResponse:
    """Vouch for somebody else's image."""
    entry = _find(request, key, "endorsed")
    form = EndorseForm(*_sent(request), user=request.user)
    question = Question(
        heading=f"Endorse {entry}",
        submit="Sign and endorse",
        told="Endorsed: your entry is published beside the others.",
        notes=(
            f"{entry.endorser_email} says what stands on the entry's page. You sign the same words "
            "with your own name: people who trust you may then use the image.",
            "Try the image first. You can deprecate your entry at any time.",
        ),
    )
    return _ask(request, entry, form, question, lambda pen: endorsing.endorse_again(
        entry, by=request.user, pen=pen, until=form.cleaned_data["valid"],
    ))  # fmt: skip


def _sent(request: UserRequest) -> tuple[Any, Any]:
    return (request.POST, request.FILES) if request.method == "POST" else (None, None)


def _ask(
    request: UserRequest,
    entry: Entry,
    form: PenForm,
    question: Question,
    act: Callable[[Any], Entry],
) -> HttpResponse:
    if form.is_valid():
        try:
            made = act(form.pen())
        except Refused as refused:
            form.refuse(refused)
        except documents.Broken as broken:
            for problem in broken.problems:
                form.add_error(None, problem.sentence)
        else:
            messages.success(request, question.told)
            return redirect(made.permalink)
    context: Mapping[str, Any] = {
        "entry": entry,
        "form": form,
        "question": question,
        "key_needed": form.needs_key,
        "crumbs": _crumbs(entry),
    }
    status = UNPROCESSABLE if form.is_bound else 200
    return render(request, "marketplace/ask.html", context, status=status)


def _crumbs(entry: Entry) -> list[dict[str, str]]:
    return [{"label": str(entry), "url": entry.permalink}]


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def set_readers(request: UserRequest, key: UUID) -> HttpResponse:
    """Who may read an entry of one's own."""
    entry = _find(request, key, "readers_changed")
    if not readers.may_set_readers(entry, request.user):
        note_denial(entry, "readers_changed", request)
        messages.error(request, "Only the owner of an entry says who may read it.")
        return redirect(entry.permalink)
    now = {"visibility": entry.visibility, "group": entry.group.uuid if entry.group else None}
    disks = traces.disks_to_look_into(entry)
    form = ReadersForm(answers(request), user=request.user, disks=disks, initial=now)
    if form.is_valid():
        try:
            asked = readers.set_readers(entry, by=request.user, readers=form.readers())
        except Refused as refused:
            form.refuse(refused)
        else:
            told = (
                "An administrator is asked first: you will get a mail."
                if asked
                else ("Who may read it is changed.")
            )
            messages.success(request, told)
            return redirect(entry.permalink)
    waits = entry.publications.waiting().exists()
    question = Question(
        heading=f"Who may read {entry}",
        submit="Save",
        told="",
        notes=(
            "It holds for everything that this endorser has said of the image. For others the "
            "entry does not exist: not on its page, nor in the catalogue, nor at a launch.",
            "Whoever may read it may have the image's bytes. Machines that run go on, and what was "
            "fetched before stays where it was fetched to.",
            *([_WAITS] if waits else []),
        ),
    )
    context = {"entry": entry, "form": form, "question": question, "crumbs": _crumbs(entry)}
    status = UNPROCESSABLE if form.is_bound else 200
    return render(request, "marketplace/ask.html", context, status=status)
