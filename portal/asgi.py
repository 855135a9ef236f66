"""The portal as an ASGI application.

Pages and streams are Django's, consoles the gateway's; the bytes of uploads pass Django by.
"""

import os
import re
from typing import Any

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

_django = get_asgi_application()

from django.conf import settings  # noqa: E402  (after the applications are ready)
from servestatic import ServeStaticASGI  # noqa: E402

from vms import console  # noqa: E402
from volumes import tus  # noqa: E402

#: collectstatic puts twelve digits of the content's hash into a name; such a file never changes.
_HASHED = re.compile(r"\.[0-9a-f]{12}\.[^/]+$")

_pages = ServeStaticASGI(
    _django,
    root=settings.STATIC_ROOT,
    prefix=settings.STATIC_URL,
    immutable_file_test=lambda _path, url: bool(_HASHED.search(url)),
    allow_all_origins=False,
)

_uploads = tus.application(_django)


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await console.application(scope, receive, send)
    elif scope["type"] == "http" and scope["path"].startswith(tus.PATH):
        await _uploads(scope, receive, send)
    else:
        await _pages(scope, receive, send)
