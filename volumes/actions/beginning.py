"""The row of a disk that is to come: within its owner's quota, and once for each key."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from cloud.types import DiskFormat
from core.errors import Refused
from registration.models import User
from volumes import gates, tasks
from volumes.models import SECTOR, DiskType, Origin, Visibility, Volume
from volumes.quota import must_fit, must_fit_image

#: What a file may become.
TYPES = (
    DiskType.DATA_IMAGE_RAW_READ_WRITE,
    DiskType.DATA_IMAGE_RAW_READONLY,
    DiskType.MACHINE_IMAGE_LIVE,
    DiskType.MACHINE_IMAGE_ORIGIN,
)
_DIGITS = {"sha1": 40, "sha256": 64}


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """A disk that is to come. ``told`` goes into the audit with ``verb``.

    ``size_bytes`` is what is known of its size; ``values`` are further columns.
    """

    create_key: UUID
    state: str
    origin: Origin
    verb: str
    size_bytes: int
    size_field: str | None = None  # of a form, beside which a full quota is said
    values: dict[str, Any] = field(default_factory=dict)
    told: dict[str, Any] = field(default_factory=dict)
    cloud: str = settings.DEFAULT_CLOUD


def begin(
    owner: User,
    wanted: Beginning,
    *,
    also: Callable[[Volume], None] = lambda _volume: None,
    check: Callable[[User], None] = lambda _owner: None,
) -> Volume:
    """The disk, in its first state, its worker rung. The same ``create_key`` twice is one disk.

    ``check`` may refuse once its owner is locked, ``also`` writes what belongs to the row.

    Raises:
        Refused: ``public_image``, ``not_active``, ``quota_disk``, ``quota_images``, those of
            ``check``.
    """
    _must_not_be_open(owner, wanted)
    known = Volume.objects.filter(owner=owner, create_key=wanted.create_key)
    with transaction.atomic():
        # Two tabs, one quota; and an account that has just been closed gets nothing.
        owner = User.objects.select_for_update(no_key=True).get(pk=owner.pk)
        if begun := known.first():
            return begun
        if not owner.is_active:
            raise Refused("not_active", "Your account is not active; ask an administrator.")
        check(owner)
        must_fit(owner, wanted.size_bytes, field=wanted.size_field)
        if wanted.values.get("type") == DiskType.MACHINE_IMAGE_ORIGIN:
            must_fit_image(owner)
        volume = Volume(
            owner=owner,
            cloud=wanted.cloud,
            create_key=wanted.create_key,
            state=wanted.state,
            origin=wanted.origin,
            size_bytes=wanted.size_bytes,
            **wanted.values,
        )
        volume.next_tick_at = volume.state_since
        volume.save(force_insert=True)
        also(volume)
        volume.record_event(wanted.verb, by=owner, now=wanted.state, **wanted.told)
        volume.announce()
        tasks.ring_row(volume)
        return volume


def _must_not_be_open(owner: User, wanted: Beginning) -> None:
    """What is not here yet, nobody has looked into. Raises: Refused: ``public_image``."""
    said = wanted.values
    if not gates.is_open_image(said.get("visibility", ""), said.get("type", "")):
        return
    way = gates.way(owner) or (
        "make it public on its page when it is here and the portal has looked into it, for keys "
        "and traces of its maker."
    )
    sentence = f"A machine image comes in for you alone. Choose private; then {way}"
    raise Refused("public_image", sentence, field="visibility")


def padded(size_bytes: int) -> int:
    """Up to the next whole sector; at least one."""
    return max(SECTOR, -(-size_bytes // SECTOR) * SECTOR)


def must_be_choices(said: Any) -> None:
    """``visibility``, ``type`` and ``format`` of what somebody says of their file.

    Raises: Refused: ``upload_choice``.
    """
    choices = {
        "visibility": Visibility.values,
        "type": [kind.value for kind in TYPES],
        "format": ["", *(kind.value for kind in DiskFormat)],
    }
    for name, allowed in choices.items():
        if getattr(said, name) not in allowed:
            sentence = f"{name} is one of: {', '.join(filter(None, allowed))}."
            raise Refused("upload_choice", sentence, field=name)


def must_be_digests(said: Any) -> None:
    """``sha1`` and ``sha256`` of what somebody says of their file, or blank.

    Raises: Refused: ``upload_digest``.
    """
    for name, digits in _DIGITS.items():
        if not re.fullmatch(rf"([0-9a-fA-F]{{{digits}}})?", getattr(said, name)):
            sentence = f"A {name.upper().replace('SHA', 'SHA-')} has {digits} hexadecimal digits."
            raise Refused("upload_digest", sentence, field=name)
