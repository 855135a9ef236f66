"""The page that takes metadata documents: checked at once, looked at, then published.

Each answer carries the documents with it, so it works without JavaScript and loses nothing.
"""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core.errors import Refused
from core.http import UNPROCESSABLE, is_fragment
from marketplace.actions import arrivals
from marketplace.actions.uploads import must_not_be_many, submit
from marketplace.carrying import (
    MOST_BYTES,
    MOST_DOCUMENTS,
    PASTED,
    Brake,
    Carried,
    Load,
    bytes_of,
)
from marketplace.documents import Broken
from marketplace.forms.uploads import AddressForm, ReadersForm
from marketplace.models import Pending
from marketplace.publishing import EVERYBODY, Reader
from marketplace.states import PendingState
from marketplace.views.about import verify_command
from registration.doors import address_of, find_or_404
from registration.models import User

#: Of the documents that wait for their endorser, and of those answered lately, so many are shown.
MOST_SHOWN = 20
#: What was published last, until the page has said so: a reload must not send it once more.
MADE = "metadata_published"


@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest) -> HttpResponse:
    by = request.user if isinstance(request.user, User) else None
    if request.method != "POST":
        form = ReadersForm(user=by) if by else None
        made = request.session.pop(MADE, []) if request.method == "GET" else []
        return _show(request, Load(by=by), form, made=made)
    act, _, key = request.POST.get("act", "check").partition(":")
    form = ReadersForm(request.POST, user=by) if by else None
    load = Load(by=by, brake=_brake(request, by))
    load.take_back(
        request.POST.getlist("name"),
        request.POST.getlist("document"),
        but=key if act == "drop" else "",
    )
    if act == "preview":
        return _preview(request, load, key)
    done = _publish(request, load, form) if act == "publish" else None
    text = _take_in(request, load)
    if is_fragment(request):
        return render(request, "marketplace/_upload_documents.html", {"load": load})
    if done and not text and not load.refusals and all(one.made for one in load.documents):
        request.session[MADE] = [_made(one) for one in load.documents]
        return redirect("marketplace:upload")
    return _show(request, load, form, text=text, done=done)


def _brake(request: HttpRequest, by: User | None) -> Brake:
    def count(many: int, are_known: bool) -> None:
        must_not_be_many(by=by, address=address_of(request), many=many, are_known=are_known)

    return count


def _take_in(request: HttpRequest, load: Load) -> str:
    """Files and pasted text; what of the text is to stay in its field."""
    try:
        for file in request.FILES.getlist("file"):
            load.take_file(file)
        return _take_pasted(request, load)
    except Refused as refused:
        load.refusals.append(str(refused))
        return request.POST.get("text", "")


def _take_pasted(request: HttpRequest, load: Load) -> str:
    text = request.POST.get("text", "")
    came = bytes_of(text)
    if not came:
        return ""
    had = len(load.documents)
    load.take(PASTED, came)
    is_bad = any(one.judged.problems for one in load.documents[had:])
    return text if is_bad else ""


def _publish(request: HttpRequest, load: Load, form: ReadersForm | None) -> dict[str, int] | None:
    """Of those that were looked at, each that can be; how many went which way."""
    readers: Reader = EVERYBODY
    if form is not None:
        if not form.is_valid():
            return None
        readers = form.readers()
    for one in load.ready():
        _publish_one(request, one, load.by, readers)
    made = [one.made for one in load.documents if one.made]
    left = sum(one.is_bad for one in load.documents)
    asked = sum(isinstance(one, Pending) for one in made)
    waiting = sum(one.awaits_approval for one in load.documents)
    return _counts(len(made), asked, waiting, left)


def _counts(made: int, asked: int, waiting: int, left: int = 0) -> dict[str, int]:
    published = made - asked - waiting
    return {"published": published, "asked": asked, "waiting": waiting, "left": left}


def _counts_told(made: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    asked = sum(bool(one["asked"]) for one in made)
    return _counts(len(made), asked, sum(bool(one.get("waits")) for one in made))


def _made(one: Carried) -> dict[str, Any]:
    """What the page says of it when it is opened next."""
    entry = one.entry
    return {
        "name": one.name,
        "asked": one.asked,
        "label": str(entry) if entry else "",
        "url": entry.permalink if entry else "",
        "waits": one.awaits_approval,
    }


def _publish_one(request: HttpRequest, one: Carried, by: User | None, readers: Reader) -> None:
    try:
        one.made = submit(one.judged.xml, by=by, address=address_of(request), readers=readers)
    except (Broken, Refused) as refusal:
        one.refusal = str(refusal)


def _show(
    request: HttpRequest,
    load: Load,
    form: ReadersForm | None,
    *,
    text: str = "",
    done: dict[str, int] | None = None,
    made: Sequence[Mapping[str, Any]] = (),
    address_form: AddressForm | None = None,
) -> HttpResponse:
    is_bad = bool(load.refusals or (form and form.errors) or address_form)
    is_bad = is_bad or any(one.is_bad for one in load.documents)
    context = {
        "load": load,
        "form": form,
        "text": text,
        "done": done or (_counts_told(made) if made else None),
        "made": made,
        "ready": sum(1 for one in load.ready()),
        "waiting": _waiting(load.by),
        "address_form": address_form or AddressForm(),
        "most_documents": MOST_DOCUMENTS,
        "most_bytes": MOST_BYTES,
        "crumbs": [{"label": "Marketplace", "url": reverse("marketplace:catalogue")}],
    }
    status = UNPROCESSABLE if is_bad else 200
    return render(request, "marketplace/upload.html", context, status=status)


def _preview(request: HttpRequest, load: Load, key: str) -> HttpResponse:
    shown = next((one for one in load.documents if one.key == key), None)
    entry = shown.preview if shown else None
    if shown is None or entry is None:
        raise Http404("No such document.")
    context: dict[str, Any] = {
        "entry": entry,
        "judged": shown.judged,
        "verify_command": verify_command(entry),
        "kin": (),
    }
    return render(request, "marketplace/preview.html", context)


def _waiting(by: User | None) -> list[Pending]:
    if by is None:
        return []
    rows = Pending.objects.filter(owner=by, state=PendingState.WAITING)
    return list(rows.select_related("entry")[:MOST_SHOWN])


@login_required
@require_safe
def pending(request: HttpRequest, key: uuid.UUID) -> HttpResponse:
    """How far one document is that waits for its endorser; a live page asks again and again."""
    rows = Pending.objects.visible_to(request.user).select_related("entry")
    return render(
        request, "marketplace/_pending.html", {"pending": find_or_404(rows, request, uuid=key)}
    )


@login_required
@require_POST
def fetch(request: HttpRequest) -> HttpResponse:
    """Have a document fetched from an address; its own page goes on from there."""
    by: Any = request.user
    form = AddressForm(request.POST)
    if form.is_valid():
        try:
            return redirect(arrivals.fetch_document(form.cleaned_data["url"], owner=by))
        except Refused as refused:
            form.refuse(refused)
    return _show(request, Load(by=by), ReadersForm(user=by), address_form=form)
