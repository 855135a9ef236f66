"""The table of disks."""

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from volumes.models import Volume
from volumes.views.door import UserRequest


@login_required
@require_safe
def index(request: UserRequest) -> HttpResponse:
    rows = Volume.objects.visible_to(request.user).listed().filter(owner=request.user)
    return render(request, "volumes/list.html", {"rows": rows})
