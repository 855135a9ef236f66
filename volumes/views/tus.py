"""The questions of the tus protocol, answered; the bytes themselves pass by ``volumes.tus``.

Every door here asks what all doors ask. To take bytes, it leaves a ticket in the request's
scope, for the server in front of it.
"""

import uuid
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.http import http_date
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from core.errors import Refused
from registration.bearer import may_go_on, person_or_program, say
from registration.doors import find_or_404
from volumes import appending, protocol
from volumes.actions import making, uploads
from volumes.models import Origin, Volume
from volumes.states import GONE, VolumeState
from volumes.views.door import UserRequest, find

CREATED, NO_CONTENT, BAD_REQUEST, FORBIDDEN, NOT_FOUND, CONFLICT = 201, 204, 400, 403, 404, 409
GONE_STATUS, PRECONDITION, TOO_LARGE, WRONG_TYPE, UNAVAILABLE = 410, 412, 413, 415, 503

#: Refusals that are neither about rights nor about what was sent.
_STATUS = {"upload_too_large": TOO_LARGE, "no_room": protocol.NO_ROOM, "disk_state": CONFLICT}
_FORBIDDEN = frozenset({"not_active", "quota_disk", "too_many_uploads", "not_yours"})
_OVER = frozenset({VolumeState.CLEARING, *GONE})


@never_cache
@person_or_program
@require_http_methods(["OPTIONS", "POST"])
def begin(request: UserRequest) -> HttpResponse:
    """Announce an upload: the address where its bytes go. Its first bytes may come along."""
    if request.method == "OPTIONS":
        return _announce()
    return _versioned(request) or _answered(_begin, request)


@never_cache
@person_or_program
@require_http_methods(["OPTIONS", "HEAD", "PATCH", "DELETE"])
def upload(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    """One upload: how far it is, its next bytes, its end."""
    if request.method == "OPTIONS":
        return _announce()
    doors = {"HEAD": _tell, "PATCH": _append, "DELETE": _end}
    return _versioned(request) or _answered(doors[str(request.method)], request, key)


def _announce() -> HttpResponse:
    answer = HttpResponse(status=NO_CONTENT)
    answer["Tus-Version"] = protocol.VERSION
    answer["Tus-Max-Size"] = str(uploads.largest_upload())
    answer["Tus-Extension"] = ",".join(protocol.EXTENSIONS)
    answer["Tus-Checksum-Algorithm"] = ",".join(protocol.ALGORITHMS)
    return answer


def _versioned(request: HttpRequest) -> HttpResponse | None:
    if request.headers.get("Tus-Resumable") == protocol.VERSION:
        return None
    answer = say(f"Send Tus-Resumable: {protocol.VERSION}.", PRECONDITION)
    answer["Tus-Version"] = protocol.VERSION
    return answer


def _answered(door: Any, *args: Any) -> HttpResponse:
    try:
        answer: HttpResponse = door(*args)
    except Refused as refused:
        status = FORBIDDEN if refused.code in _FORBIDDEN else BAD_REQUEST
        return say(str(refused), _STATUS.get(refused.code, status))
    except Http404:
        return say("There is no such upload, or it is not yours.", NOT_FOUND)
    return answer


def _begin(request: UserRequest) -> HttpResponse:
    parcel = _parcel(request)
    volume = uploads.begin_upload(owner=request.user, parcel=parcel)
    answer = HttpResponse(status=CREATED)
    answer["Location"] = reverse("volumes:tus_upload", args=[volume.uuid])
    answer["Upload-Expires"] = _expires(volume)
    if request.content_type == protocol.CONTENT_TYPE and volume.state == VolumeState.UPLOADING:
        _give_ticket(request, volume, 0)
    return answer


def _parcel(request: UserRequest) -> uploads.Parcel:
    said = protocol.metadata(request.headers.get("Upload-Metadata", ""))
    names = ("visibility", "type", "format", "sha1", "sha256")
    more: dict[str, Any] = {name: said[name].strip() for name in names if said.get(name)}
    if said.get("size"):
        more["size_bytes"] = protocol.number(said["size"], "size")
    if said.get("key"):
        try:
            more["create_key"] = uuid.UUID(said["key"])
        except ValueError as exc:
            raise Refused("upload_metadata", "Upload-Metadata: key is a UUID.") from exc
    return uploads.Parcel(
        length=protocol.number(request.headers.get("Upload-Length"), "Upload-Length"),
        file_name=said.get("filename", ""),
        tag=said.get("tag"),
        **more,
    )


def _mine(request: UserRequest, key: uuid.UUID, verb: str) -> Volume:
    """Nobody but who began an upload goes on with it, administrators no more than others."""
    own = Volume.objects.filter(owner=request.user, origin=Origin.UPLOADED)
    return find_or_404(own.select_related("owner", "arrival"), request, verb, uuid=key)


def _tell(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    volume = _mine(request, key, "opened")
    if refusal := _over(volume):
        return refusal
    length = int(volume.arrival.length or 0)
    waits = volume.state == VolumeState.UPLOADING
    answer = HttpResponse()
    answer["Upload-Offset"] = str(appending.offset(volume) if waits else length)
    answer["Upload-Length"] = str(length)
    answer["Upload-Metadata"] = protocol.as_metadata(_said(volume))
    if waits:
        answer["Upload-Expires"] = _expires(volume)
    return answer


def _said(volume: Volume) -> dict[str, str]:
    pairs = {
        "filename": volume.arrival.file_name,
        "tag": volume.tag,
        "visibility": volume.visibility,
        "type": volume.type,
        "sha1": volume.arrival.expected_sha1,
        "sha256": volume.arrival.expected_sha256,
    }
    return {name: value for name, value in pairs.items() if value}


def _over(volume: Volume) -> HttpResponse | None:
    if volume.state in _OVER:
        return say(f"This upload is over. {volume.reason}".strip(), GONE_STATUS)
    expires_at = volume.arrival.expires_at
    if volume.state == VolumeState.UPLOADING and expires_at and expires_at <= timezone.now():
        return say("This upload waited too long for its next byte. Begin anew.", GONE_STATUS)
    return None


def _expires(volume: Volume) -> str:
    expires_at = volume.arrival.expires_at
    return http_date(expires_at.timestamp()) if expires_at else ""


def _append(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    volume = _mine(request, key, "upload")
    if request.content_type != protocol.CONTENT_TYPE:
        return say(f"Send Content-Type: {protocol.CONTENT_TYPE}.", WRONG_TYPE)
    if refusal := _over(volume):
        return refusal
    offset = protocol.number(request.headers.get("Upload-Offset"), "Upload-Offset")
    if volume.state != VolumeState.UPLOADING:
        return say("All of this file is here already.", CONFLICT)
    answer = HttpResponse(status=NO_CONTENT)
    answer["Upload-Expires"] = _expires(volume)
    if not _give_ticket(request, volume, offset):
        return say("This server takes no uploads.", UNAVAILABLE)
    return answer


def _give_ticket(request: UserRequest, volume: Volume, offset: int) -> bool:
    """Whether there is a server in front of us that brings bytes. Raises: Refused."""
    scope: Any = getattr(request, "scope", {})
    incoming: protocol.Incoming | None = scope.get(protocol.INCOMING)
    if incoming is None:
        return False
    length = int(volume.arrival.length or 0)
    if offset + (incoming.length or 0) > length:
        raise Refused("upload_too_large", f"{length} bytes were announced; these are more.")
    uploads.must_have_room(incoming.length or 0, beside=volume)
    scope[protocol.TICKET] = protocol.Ticket(
        volume=volume.pk,
        offset=offset,
        length=length,
        checksum=protocol.checksum(request.headers.get("Upload-Checksum", "")),
        may_go_on=lambda: may_go_on(request),
    )
    return True


def _end(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    making.cancel(find(request, key, verb="cancel"), by=request.user)
    return HttpResponse(status=NO_CONTENT)
