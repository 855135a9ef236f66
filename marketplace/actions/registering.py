"""Make images of disks, many in one go: each with a private entry that its owner has signed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction
from django.views.decorators.debug import sensitive_variables

from cloud.types import DiskFormat
from core.errors import Refused
from marketplace.actions.drafts import draft_of_disk, draft_of_known_disk
from marketplace.actions.finishing import must_stay_closed, publish_draft
from marketplace.actions.pens import Pen
from marketplace.actions.publishing import Reader
from marketplace.composing import Said
from marketplace.models import Draft, Entry
from marketplace.states import Visibility
from registration.models import User
from volumes.models import Volume

_PRIVATE = Reader(visibility=Visibility.PRIVATE)


@dataclass(frozen=True, slots=True)
class Registered:
    """What came of one disk. Without ``entry`` the draft is measured first, and then signed."""

    draft: Draft
    entry: Entry | None


@sensitive_variables("pen")
def register_disk(
    volume: Volume,
    *,
    by: User,
    said: Said,
    fields: Mapping[str, Any],
    pen: Pen,
    create_key: UUID,
) -> Registered:
    """Publish a disk as an image for its owner alone, if the portal knows its checksums already.

    Else a worker measures it, and the draft waits for its owner. ``fields`` are the answers of
    the draft's form, as ``said`` says them. The same ``create_key`` twice is one.

    Raises:
        Refused: those of ``draft_of_disk`` and ``publish_draft``.
    """
    if known := Draft.objects.filter(owner=by, create_key=create_key).first():
        return Registered(known, known.entry)
    if not has_known_sums(volume):
        return Registered(draft_of_disk(volume, by=by, create_key=create_key, fields=fields), None)
    must_stay_closed(volume, said.kind, by=by, readers=_PRIVATE)
    with transaction.atomic():
        draft = draft_of_known_disk(volume, by=by, create_key=create_key, fields=fields)
        entry = publish_draft(draft, by=by, said=said, pen=pen, readers=_PRIVATE)
        if not isinstance(entry, Entry):
            raise Refused("other_address", "This key speaks for another address than yours.")
    return Registered(draft, entry)


def has_known_sums(volume: Volume) -> bool:
    """Whether the checksums of the bytes that came in are those of the disk as it is."""
    if volume.written_at or not (volume.sha1 and volume.sha256 and volume.sha512):
        return False
    arrival = getattr(volume, "arrival", None)
    is_raw = arrival is None or arrival.format == DiskFormat.RAW
    return is_raw and volume.content_bytes == volume.size_bytes
