"""The address that the queue knows a person by; the page itself shows machines, one floor up."""

import uuid

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_safe

from registration.doors import UserRequest, administrators_only
from registration.models import User


@administrators_only
@require_safe
def person(request: UserRequest, uuid: uuid.UUID) -> HttpResponse:
    found = get_object_or_404(User.objects.visible_to(request.user), uuid=uuid)
    return redirect("vms:person", found.uuid)
