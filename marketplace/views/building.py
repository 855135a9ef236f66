"""What metadata are built from: a disk, an address, a file on one's own computer, an entry."""

import uuid
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core.errors import Refused
from core.http import UNPROCESSABLE
from marketplace.actions import drafts
from marketplace.actions.endorsing import metadata_of
from marketplace.actions.inheriting import answers_about
from marketplace.forms.building import OfDiskForm, OfFileForm, OfUrlForm
from marketplace.forms.drafts import DATA_FIELDS, fields_of
from marketplace.models import Draft, Entry
from registration.doors import UserRequest, find_or_404
from volumes.models import Volume
from volumes.states import VolumeState

USABLE = (VolumeState.AVAILABLE, VolumeState.IN_USE)
#: How a page says which of its forms was sent.
DISK, URL = "disk", "url"


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def build(request: UserRequest) -> HttpResponse:
    """Choose what it is about; the draft that comes of it is filled in on its own page."""
    disks = Volume.objects.filter(owner=request.user, state__in=USABLE).order_by("-pk")
    asked = request.POST.get("of") if request.method == "POST" else ""
    initial = {"is_data": request.GET.get("kind") == "disk"}
    chosen = {**initial, "disk": request.GET.get("disk", "")}
    of_disk = OfDiskForm(request.POST if asked == DISK else None, disks=disks, initial=chosen)
    of_url = OfUrlForm(request.POST if asked == URL else None, initial=initial)
    forms: Mapping[str, OfDiskForm | OfUrlForm] = {DISK: of_disk, URL: of_url}
    form = forms.get(asked or "")
    if form is not None and form.is_valid():
        try:
            return redirect(_begun(request, form))
        except Refused as refused:
            form.refuse(refused)
    context = {
        "of_disk": of_disk,
        "of_url": of_url,
        "form": form or of_disk,
        "has_disks": disks.exists(),
        "is_data": initial["is_data"],
        "drafts": Draft.objects.filter(owner=request.user, state__in=drafts.OPEN)[:5],
    }
    status = UNPROCESSABLE if asked else 200
    return render(request, "marketplace/build.html", context, status=status)


def _begun(request: UserRequest, form: OfDiskForm | OfUrlForm) -> Draft:
    said = form.cleaned_data
    fields: Mapping[str, Any] = DATA_FIELDS if said["is_data"] else {}
    if isinstance(form, OfUrlForm):
        return drafts.draft_of_url(
            said["url"], by=request.user, create_key=said["create_key"], fields=fields
        )
    volume: Volume = said["disk"]
    fields = {**answers_about(volume, by=request.user), **fields}
    if label := _label_of(volume):
        fields = {**DATA_FIELDS, "description": f"The file system has the label {label}."}
    return drafts.draft_of_disk(
        volume, by=request.user, create_key=said["create_key"], fields=fields
    )


def _label_of(volume: Volume) -> str:
    """The label of the file system of a data disk, by which guests find it."""
    arrival = getattr(volume, "arrival", None)
    return arrival.label if arrival is not None else ""


@require_safe
def measure(request: HttpRequest) -> HttpResponse:
    """Identifier and checksums of a file that stays where it is: the browser computes them."""
    context = {"create_key": uuid.uuid4()}
    return render(request, "marketplace/measure.html", context)


@login_required
@require_POST
def from_file(request: UserRequest) -> HttpResponse:
    """A draft of what the page above has found."""
    form = OfFileForm(request.POST)
    if form.is_valid():
        try:
            draft = drafts.draft_of_file(
                form.measured(), by=request.user, create_key=form.cleaned_data["create_key"]
            )
        except Refused as refused:
            form.refuse(refused)
        else:
            return redirect(draft)
    context = {"create_key": uuid.uuid4(), "form": form}
    return render(request, "marketplace/measure.html", context, status=UNPROCESSABLE)


@login_required
@require_POST
def from_entry(request: UserRequest, key: UUID) -> HttpResponse:
    """A draft that says of an entry's image something else, or something more."""
    visible = Entry.objects.visible_to(request.user).select_related("document")
    entry = find_or_404(visible, request, uuid=key)
    try:
        fields = _answers_of(entry)
        draft = drafts.draft_of_entry(
            entry, by=request.user, create_key=uuid.uuid4(), fields=fields
        )
    except Refused as refused:
        messages.error(request, str(refused))
        return redirect(entry.permalink)
    return redirect(draft)


def _answers_of(entry: Entry) -> dict[str, Any]:
    """What the form would hold; of an index's entry, which has no document, what is known."""
    try:
        return fields_of(metadata_of(entry))
    except Refused as refused:
        if refused.code != "no_sha1":
            raise
    known = ("title", "description", "os", "os_version", "os_arch", "version", "kind", "creator")
    return {name: getattr(entry, name) for name in known}
