"""The lists of the site's policy, and what a change of them would do."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from core.errors import Refused
from core.http import UNPROCESSABLE
from marketplace.actions import policy as actions
from marketplace.forms.policy import AddForm, ApplyForm, FileForm, RemoveForm, written
from marketplace.models import PolicyLine
from marketplace.states import Colour, Subject
from registration.doors import UserRequest, administrators_only

#: Of the images that a change would touch, so many are shown by name.
MOST_SHOWN = 50
#: The list that lines go to unless another is chosen. A line on a white list refuses all others.
_HARMLESS = f"{Subject.ENDORSER}.{Colour.BLACK}"
_FORMS: dict[str, Any] = {"add": AddForm, "remove": RemoveForm, "file": FileForm}
_ABOUT = {
    Subject.ENDORSER: "By the e-mail address of who endorsed the image; capitals do not matter.",
    Subject.CHECKSUM: (
        "By the SHA-1, SHA-256 or SHA-512 that its entry states, or that was found of its bytes."
    ),
    Subject.IMAGE: "By the image's identifier, whoever endorsed it.",
}


@administrators_only
@require_http_methods(["GET", "HEAD", "POST"])
def index(request: UserRequest) -> HttpResponse:
    if request.method != "POST":
        return _lists(request)
    asked = request.POST.get("ask", "")
    if asked == "apply":
        return _apply(request)
    form = _FORMS.get(asked, AddForm)(request.POST, request.FILES)
    if form.is_valid():
        try:
            return _preview(request, actions.preview_policy(form.change()))
        except Refused as refused:
            form.refuse(refused)
    return _lists(request, **{asked if asked in _FORMS else "add": form})


def _apply(request: UserRequest) -> HttpResponse:
    form = ApplyForm(request.POST)
    if not form.is_valid():
        return redirect("marketplace:policy")
    try:
        change = form.change()
        done = actions.change_policy(
            change, by=request.user, version=form.cleaned_data["version"]
        ).change
    except Refused as refused:
        if refused.code != "policy_changed":
            messages.error(request, str(refused))
            return redirect("marketplace:policy")
        return _preview_again(request, change, refused)
    messages.success(
        request, f"The lists are changed: {len(done.added)} added, {len(done.removed)} removed."
    )
    return redirect("marketplace:policy")


def _preview_again(
    request: UserRequest, change: actions.PolicyChange, refused: Refused
) -> HttpResponse:
    try:
        return _preview(request, actions.preview_policy(change), refusal=str(refused))
    except Refused as nothing:
        messages.info(request, str(nothing))
        return redirect("marketplace:policy")


def _preview(request: UserRequest, preview: actions.Preview, refusal: str = "") -> HttpResponse:
    change = preview.change
    context = {
        "preview": preview,
        "refusal": refusal,
        "added": [(actions.list_name(line.subject, line.colour), line) for line in change.added],
        "removed": [
            (actions.list_name(line.subject, line.colour), line) for line in change.removed
        ],
        "verdicts": [
            _images("refused", preview.refused),
            _images("allowed", preview.allowed),
        ],
        "wanted": written(change.added, change.removed),
        "crumbs": [{"label": "Images allowed here", "url": reverse("marketplace:policy")}],
    }
    status = UNPROCESSABLE if refusal else 200
    return render(request, "marketplace/policy_preview.html", context, status=status)


def _images(verdict: str, entries: Any) -> dict[str, Any]:
    count = entries.count()
    shown = entries[:MOST_SHOWN]
    return {
        "verdict": verdict,
        "count": count,
        "entries": shown,
        "more": max(count - MOST_SHOWN, 0),
    }


def _lists(request: UserRequest, **forms: Any) -> HttpResponse:
    lines: dict[tuple[str, str], list[PolicyLine]] = {}
    for line in PolicyLine.objects.select_related("created_by"):
        lines.setdefault((line.subject, line.colour), []).append(line)
    subjects = [
        {
            "subject": subject,
            "title": subject.name.capitalize() + "s",
            "about": about,
            "lists": [
                {
                    "key": f"{subject}.{colour}",
                    "name": actions.list_name(subject, colour).capitalize(),
                    "colour": colour,
                    "lines": lines.get((subject, colour), []),
                }
                for colour in Colour
            ],
        }
        for subject, about in _ABOUT.items()
    ]
    known = actions.labels_of(line for each in lines.values() for line in each)
    context = {
        "subjects": subjects,
        "known": known,
        "has_lines": bool(lines),
        "add": forms.get("add") or AddForm(initial={"list": request.GET.get("list") or _HARMLESS}),
        "remove": forms.get("remove") or RemoveForm(),
        "file": forms.get("file") or FileForm(),
    }
    return render(
        request, "marketplace/policy.html", context, status=UNPROCESSABLE if forms else 200
    )


@administrators_only
@require_safe
def file(request: UserRequest) -> HttpResponse:
    """The lists as StratusLab's ``policy.cfg``."""
    answer = HttpResponse(actions.policy_file(), content_type="text/plain; charset=utf-8")
    answer["Content-Disposition"] = 'attachment; filename="policy.cfg"'
    return answer
