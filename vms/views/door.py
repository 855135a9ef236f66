"""The one way from an address to a machine: through the policy."""

import uuid

from django.http import HttpRequest
from django.shortcuts import get_object_or_404

from registration.models import User
from vms.models import VM


class UserRequest(HttpRequest):
    user: User


def find(request: UserRequest, key: uuid.UUID) -> VM:
    """The machine, if this user may see it; else a 404."""
    return get_object_or_404(VM.objects.visible_to(request.user).for_rows(), uuid=key)
