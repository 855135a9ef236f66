"""The page that uploads files, its rows, and whether a file is the one that came before."""

import uuid
from datetime import timedelta
from typing import Any

from django.contrib.auth.decorators import login_required
from django.db.models import Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from core import sizes
from registration.bearer import say
from registration.doors import find_or_404
from volumes import appending, landing, quota
from volumes.actions import uploads
from volumes.models import LONGEST_TAG, DiskType, Origin, Visibility, Volume
from volumes.protocol import CONTENT_TYPE
from volumes.states import ARRIVING, VolumeState
from volumes.views.door import UserRequest

NO_CONTENT, BAD_REQUEST, CONFLICT = 204, 400, 409
#: What is compared before a file is gone on with: its beginning, and the end of what came.
COMPARED_BYTES = 1 << 20
#: How long the page shows what failed.
FAILED_SHOWN = timedelta(days=1)

#: What people call the types, in the order of the choice.
TYPES = (
    (DiskType.DATA_IMAGE_RAW_READ_WRITE, "Data, read and write"),
    (DiskType.DATA_IMAGE_RAW_READONLY, "Data, read only"),
    (DiskType.MACHINE_IMAGE_LIVE, "Machine image"),
    (DiskType.MACHINE_IMAGE_ORIGIN, "Machine image, original"),
)


@login_required
@require_safe
def page(request: UserRequest) -> HttpResponse:
    context = {
        "volumes": _shown(request),
        "types": TYPES,
        "visibilities": Visibility.choices,
        "longest_tag": LONGEST_TAG,
        "largest_bytes": uploads.largest_upload(),
        **_quota(request),
        "tus_url": reverse("volumes:tus"),
        "recipe": _recipe(request.build_absolute_uri("/").rstrip("/")),
    }
    return render(request, "volumes/upload.html", context)


@login_required
@require_safe
def room(request: UserRequest) -> HttpResponse:
    return render(request, "volumes/_upload_quota.html", _quota(request))


def _quota(request: UserRequest) -> dict[str, Any]:
    limit, held = request.user.quota.disk_bytes, quota.bytes_held(request.user)
    return {
        "left_bytes": max(0, limit - held),
        "limit": sizes.in_gib(limit),
        "held": sizes.in_gib(held),
    }


def _recipe(site: str) -> list[dict[str, str]]:
    """Lines for a terminal: bash, curl, and what every Debian has."""
    tus = f"{site}{reverse('volumes:tus')}"
    kind = f"Content-Type: {CONTENT_TYPE}"
    return [
        {
            "what": "Say who you are: run this, paste the token, press Enter.",
            "label": "the line that asks for the token",
            "lines": "read -rs TOKEN",
        },
        {
            "what": "Say which file:",
            "label": "the lines that prepare",
            "lines": "FILE=data.img\n"
            'AUTH=(-H "Authorization: Bearer $TOKEN" -H "Tus-Resumable: 1.0.0")',
        },
        {
            "what": "Announce it; the answer is where its bytes go:",
            "label": "the lines that announce",
            "lines": f'ANSWER=$(curl -sS -i "${{AUTH[@]}}" -X POST {tus} \\\n'
            '  -H "Upload-Length: $(stat -c %s "$FILE")" \\\n'
            '  -H "Upload-Metadata: filename $(basename "$FILE" | tr -d \'\\n\' | base64 -w0)")\n'
            """LOCATION=$(tr -d '\\r' <<< "$ANSWER" | sed -n 's/^[Ll]ocation: //p')\n"""
            '[ "$LOCATION" ] || echo "$ANSWER"',
        },
        {
            "what": "Send it:",
            "label": "the lines that send",
            "lines": 'curl --fail-with-body -X PATCH "${AUTH[@]}" -T "$FILE" \\\n'
            f'  -H "Upload-Offset: 0" -H "{kind}" {site}${{LOCATION:?no upload has begun}}',
        },
        {
            "what": "After a break, ask how much is here, and send the rest:",
            "label": "the lines that go on",
            "lines": f'ANSWER=$(curl -sSI "${{AUTH[@]}}" \\\n'
            f"  {site}${{LOCATION:?no upload has begun}})\n"
            """OFFSET=$(tr -d '\\r' <<< "$ANSWER" | sed -n 's/^[Uu]pload-[Oo]ffset: //p')\n"""
            '[ "$OFFSET" ] || echo "$ANSWER"\n'
            'tail -c +$((OFFSET + 1)) "$FILE" \\\n'
            '  | curl --fail-with-body -X PATCH "${AUTH[@]}" -T - \\\n'
            f'  -H "Upload-Offset: ${{OFFSET:?the upload is not there}}" \\\n'
            f'  -H "{kind}" {site}${{LOCATION:?no upload has begun}}',
        },
    ]


def _own(request: UserRequest) -> "QuerySet[Volume]":
    rows = Volume.objects.filter(owner=request.user, origin=Origin.UPLOADED)
    return rows.select_related("owner", "arrival")


def _shown(request: UserRequest) -> "QuerySet[Volume]":
    """What is on its way, and what has just failed."""
    under_way = Q(state__in=(*ARRIVING, VolumeState.CLEARING))
    failed = Q(state=VolumeState.FAILED, state_since__gt=timezone.now() - FAILED_SHOWN)
    return _own(request).filter(under_way | failed).order_by("-pk")


@login_required
@require_safe
def row(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    volume = find_or_404(_own(request), request, uuid=key)
    return render(request, "volumes/_upload.html", {"volume": volume})


@login_required
@require_POST
def same(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    """Whether a file is the one whose first bytes are here, as far as ``offset``.

    The body is the file's first MiB up to there, and its last MiB before there.
    """
    volume = find_or_404(_own(request), request, "upload", uuid=key)
    offset = request.GET.get("offset", "")
    if not offset.isdecimal() or len(offset) > 18:
        return say("Say offset: a number of bytes.", BAD_REQUEST)
    if volume.state == VolumeState.UPLOADING and request.body == _ends(volume, int(offset)):
        return HttpResponse(status=NO_CONTENT)
    return say("This is another file: its bytes differ from those that came before.", CONFLICT)


def _ends(volume: Volume, offset: int) -> bytes | None:
    """The bytes to compare; None: not so many are here."""
    if offset > appending.offset(volume):
        return None
    if not offset:
        return b""
    with landing.received(volume).open("rb") as file:
        head = file.read(min(offset, COMPARED_BYTES))
        file.seek(max(0, offset - COMPARED_BYTES))
        return head + file.read(min(offset, COMPARED_BYTES))
