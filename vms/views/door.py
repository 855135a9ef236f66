"""The one way from an address to a machine: through the policy."""

import uuid

from registration.doors import UserRequest, find_or_404
from vms.models import VM

__all__ = ["UserRequest", "find"]


def find(request: UserRequest, key: uuid.UUID, *, verb: str = "") -> VM:
    """The machine, if this user may see it; else a 404, and a line in the audit."""
    visible = VM.objects.visible_to(request.user).for_rows()
    return find_or_404(visible, request, verb, uuid=key)
