"""Which image or disk a launch is about, and the pages that say so when it is about none."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from core.errors import Refused
from core.http import UNPROCESSABLE
from marketplace.actions.arrivals import fetch_document
from marketplace.actions.images import may_use
from marketplace.addresses import Elsewhere, entries_at
from marketplace.models import Document, Entry, ImageFile
from registration.doors import find_or_404
from registration.models import User
from vms import actions, images
from vms.views.door import UserRequest
from volumes.actions import MOST_DISKS
from volumes.models import Volume

#: In the session: disks that a person chose before an image.
KEPT_DISKS = "launch_with"
#: And the recipe.
KEPT_RECIPE = "launch_recipe"


@dataclass(frozen=True, slots=True)
class Source:
    """What the machine is to boot from: an entry of an image, or a disk.

    ``others`` are the other entries of the image that one could choose instead.
    """

    entry: Entry | None = None
    others: Sequence[actions.Candidate] = ()
    root_disk: Volume | None = None


def source_of(request: UserRequest) -> Source | HttpResponse:
    """What the address names, as far as this person sees it; or the page that answers instead."""
    if key := request.GET.get("disk", ""):
        disks = Volume.objects.visible_to(request.user).select_related("owner")
        uuid = uuid_or_404(key)
        return Source(root_disk=find_or_404(disks, request, "launch", uuid=uuid))
    text = request.GET.get("image", "").strip()
    if not text:
        return _choose(request)
    try:
        found = images.named(request, text, _entry_key(request))
    except Elsewhere as elsewhere:
        return _choose(request, text=text, elsewhere=elsewhere.url)
    except Refused as refused:
        return _choose(request, text=text, refusal=str(refused))
    chosen, *others = found
    if chosen.refused:
        context = {"candidates": found, "entry": chosen.entry}
        return render(request, "vms/not_launchable.html", context, status=_refused(request))
    return Source(entry=chosen.entry, others=others)


def _entry_key(request: UserRequest) -> UUID | None:
    """The one that the form was shown for, or that the address names."""
    key = request.POST.get("entry") or request.GET.get("entry")
    return uuid_or_404(key) if key else None


def uuid_or_404(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Http404 from None


def _choose(
    request: UserRequest, *, text: str = "", refusal: str = "", elsewhere: str = ""
) -> HttpResponse:
    """Disks and a recipe that were chosen already wait until there is an image for the machine."""
    wanted = request.GET.getlist("disks")[:MOST_DISKS]
    if wanted:
        request.session[KEPT_DISKS] = wanted
    if recipe := request.GET.get("recipe", ""):
        request.session[KEPT_RECIPE] = recipe[:36]
    context = {
        "text": text,
        "refusal": refusal,
        "elsewhere": elsewhere,
        "has_disks": KEPT_DISKS in request.session,
        "has_recipe": KEPT_RECIPE in request.session,
    }
    status = _refused(request) if refusal else 200
    return render(request, "vms/choose_image.html", context, status=status)


def _refused(request: UserRequest) -> int:
    """Nothing was asked for by who has only followed a link."""
    return UNPROCESSABLE if request.method == "POST" else 200


@login_required
@require_POST
def fetch(request: UserRequest) -> HttpResponse:
    """Have the metadata at an address of another site fetched, to launch their image."""
    text = request.POST.get("image", "").strip()
    try:
        entries_at(text, user=request.user, hosts=images.hosts(request))
    except Elsewhere as elsewhere:
        return _fetch(request, elsewhere.url)
    except Refused as refused:
        messages.error(request, str(refused))
        return redirect("vms:launch")
    return redirect(f"{reverse('vms:launch')}?{urlencode({'image': text})}")


def _fetch(request: UserRequest, url: str) -> HttpResponse:
    try:
        return redirect(fetch_document(url, owner=request.user, to_launch=True))
    except Refused as refused:
        return _choose(request, text=url, refusal=str(refused))


def about_image(entry: Entry | None, user: User) -> dict[str, Any]:
    """What the launch page says of an image besides its entry: its signature, and its copy here.

    That there is a copy which this person may not have is nobody's business.
    """
    if entry is None:
        return {}
    document = Document.objects.filter(entry=entry).defer("xml").first()
    copy = ImageFile.objects.filter(
        cloud=settings.DEFAULT_CLOUD, identifier=entry.identifier
    ).first()
    is_open = copy is not None and may_use(copy, entry, user)
    if copy and not is_open and copy.entry_id != entry.pk:
        copy = None
    return {"document": document, "copy": copy, "is_here": bool(copy and is_open and copy.is_kept)}
