"""The one way from an address to a disk: through the policy."""

import uuid

from registration.doors import UserRequest, find_or_404
from volumes.models import Volume

__all__ = ["UserRequest", "find"]


def find(request: UserRequest, key: uuid.UUID, *, verb: str = "") -> Volume:
    """The disk, if this user may see it; else a 404, and a line in the audit."""
    visible = Volume.objects.visible_to(request.user).select_related("owner")
    return find_or_404(visible, request, verb, uuid=key)
