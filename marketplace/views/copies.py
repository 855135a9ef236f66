"""How far the copy of an image in a cloud is."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from marketplace.models import ImageFile
from registration.doors import find_or_404


@login_required
@require_safe
def copy(request: HttpRequest, key: str) -> HttpResponse:
    """How far the copy of an image in one cloud is; a live page fetches it again and again."""
    image = find_or_404(ImageFile.objects.visible_to(request.user), request, uuid=key)
    return render(request, "marketplace/_copy.html", {"image": image})
