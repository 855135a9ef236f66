"""What every page shows."""

import time
from functools import partial
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from registration.emails import is_kept_in_files
from registration.models import Notification, Waiting
from vms.actions.images import architectures_of

#: The latest notifications that the menu of the bell shows.
IN_BELL = 6


def site(request: HttpRequest) -> dict[str, Any]:
    user = getattr(request, "user", None)
    is_staff = bool(user and user.is_authenticated and user.is_staff)
    return {
        "site_name": settings.PORTAL_SITE_NAME,
        "version": settings.VERSION,
        # From here on the page wants to hear of changes: a little before it was rendered.
        "live_since": f"{int(time.time() * 1000) - 1000}-0",
        "date_style": getattr(user, "date_style", "") or settings.PORTAL_DATE_STYLE,
        "contact": settings.PORTAL_CONTACT,
        "reference": getattr(request, "reference", ""),
        # Asked for by whole pages only, and of administrators only; fragments never count.
        "waiting": SimpleLazyObject(Waiting.now) if is_staff else None,
        # The bell of whole pages: one query.
        "notifications": SimpleLazyObject(partial(Notification.objects.latest_of, user, IN_BELL))
        if user and user.is_authenticated
        else None,
        # What machines can be here; asked for by pages that offer to launch one.
        "architectures": SimpleLazyObject(lambda: architectures_of(settings.DEFAULT_CLOUD)),
        "mails_in_files": is_kept_in_files(),
    }
