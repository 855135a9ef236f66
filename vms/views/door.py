"""The one way from an address to a machine: through the policy."""

import uuid

from django.http import Http404, HttpRequest

from core.models import record
from registration.models import User
from vms.models import VM


class UserRequest(HttpRequest):
    user: User


def find(request: UserRequest, key: uuid.UUID) -> VM:
    """The machine, if this user may see it; else a 404, and a line in the audit."""
    vm = VM.objects.visible_to(request.user).for_rows().filter(uuid=key).first()
    if vm is None:
        if VM.objects.filter(uuid=key).exists():
            record(VM.KIND, key, "denied", by=request.user, reason=f"{request.method} by page")
        raise Http404
    return vm
