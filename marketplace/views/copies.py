"""How far the copy of an image in a cloud is."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from core.errors import Refused
from marketplace import actions
from marketplace.models import ImageFile
from registration.doors import UserRequest, administrators_only, find_or_404


@login_required
@require_safe
def copy(request: HttpRequest, key: str) -> HttpResponse:
    """How far the copy of an image in one cloud is; a live page fetches it again and again."""
    image = find_or_404(ImageFile.objects.visible_to(request.user), request, uuid=key)
    return render(request, "marketplace/_copy.html", {"image": image})


@administrators_only
@require_POST
def stop(request: UserRequest, key: str) -> HttpResponse:
    """End the fetching of an image: whoever waits for it is told so."""
    image = find_or_404(ImageFile.objects.select_related("entry"), request, "stopped", uuid=key)
    try:
        actions.stop_image(image, by=request.user)
    except Refused as refused:
        messages.error(request, str(refused))
    return redirect(image.entry.get_absolute_url())
