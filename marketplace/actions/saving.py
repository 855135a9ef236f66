"""From a disk that was saved from a machine to its first entry: private, and for two days."""

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from cloud.types import DiskFormat
from core.errors import Refused
from marketplace import documents
from marketplace.actions import keys
from marketplace.actions.endorsing import SIX_MONTHS
from marketplace.actions.finishing import publish_draft
from marketplace.actions.inspecting import inspect
from marketplace.actions.pens import Pen, pen_of_key
from marketplace.actions.publishing import Reader
from marketplace.composing import Said, compose, usual_publisher
from marketplace.models import Draft, Entry
from marketplace.states import DraftSource, DraftState, Kind, Visibility
from registration.models import User
from volumes.models import Volume

_PRIVATE = Reader(visibility=Visibility.PRIVATE)
_NUMBERS = re.compile(r"(\d{1,9})(?:\.(\d{1,9}))?(?:\.\d{1,9})*\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a person says of an image that they save. ``based_on``: what the rest is taken from."""

    title: str
    comment: str
    author: str
    version: str
    based_on: Entry | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """What came of it. Without ``entry`` the draft waits to be signed, and ``reason`` says why.

    ``xml``: the document, not signed, as its owner may sign and upload it: valid for six months.
    """

    draft: Draft
    entry: Entry | None
    reason: str
    xml: bytes


def pen_to_save(owner: User) -> tuple[Pen | None, str]:
    """What the portal signs with in this person's name; made, if they have none. Else why not.

    Not to be called in a transaction: a new key takes a second.
    """
    try:
        if keys.key_of(owner) is None:
            keys.new_key(owner, owner)
        return pen_of_key(owner), ""
    except Refused as refused:
        return None, str(refused)


@sensitive_variables("pen")
def publish_saved(
    volume: Volume,
    *,
    owner: User,
    about: About,
    create_key: UUID,
    pen: Pen | None,
    why_unsigned: str = "",
) -> Saved:
    """A draft with the disk's size and checksums, signed and published to its owner alone.

    Call it in the transaction that says that it was done. The same ``create_key`` twice breaks.
    """
    draft = _draft(volume, owner, about, create_key)
    said = _said(about, valid=_two_days())
    entry = None
    if pen is not None:
        try:
            with transaction.atomic():  # what is refused leaves a draft
                entry = _published(draft, owner, said, pen)
        except Refused as refused:
            draft.refresh_from_db()
            why_unsigned = str(refused)
    inspect(volume)  # its report is there when somebody thinks of opening it
    long = replace(said, valid=timezone.now().replace(microsecond=0) + SIX_MONTHS)
    return Saved(
        draft=draft,
        entry=entry,
        reason="" if entry else f"It is not signed. {why_unsigned}".strip(),
        xml=documents.write(compose(draft, long)),
    )


def _published(draft: Draft, owner: User, said: Said, pen: Pen) -> Entry:
    made = publish_draft(draft, by=owner, said=said, pen=pen, readers=_PRIVATE)
    assert isinstance(made, Entry)  # noqa: S101  (the key speaks for its owner's own address)
    return made


def _two_days() -> datetime:
    return timezone.now().replace(microsecond=0) + timedelta(days=settings.PORTAL_SAVED_IMAGE_DAYS)


def _draft(volume: Volume, owner: User, about: About, create_key: UUID) -> Draft:
    draft = Draft(
        owner=owner,
        create_key=create_key,
        about=DraftSource.DISK,
        state=DraftState.READY,
        volume=volume,
        cloud=volume.cloud,
        fields=_answers(about),
        identifier=volume.identifier,
        size_bytes=volume.size_bytes,
        virtual_size_bytes=volume.size_bytes,
        sha1=volume.sha1,
        sha256=volume.sha256,
        sha512=volume.sha512,
        format=str(DiskFormat.RAW),
        bytes_done=volume.size_bytes,
        bytes_total=volume.size_bytes,
    )
    draft.save(force_insert=True)
    draft.record_event("asked", by=owner, now=str(draft.state), about=str(draft.about))
    draft.announce()
    return draft


def _inherited(base: Entry | None) -> dict[str, Any]:
    """What a change of what is inside changes not. Source: stratuslab.md 2.11, step 4."""
    if base is None:
        return {"os_arch": "x86_64", "default_user": "root", "inbound_ports": (22,)}
    return {
        "type": base.type or "base",
        "os": base.os,
        "os_version": base.os_version,
        "os_arch": base.os_arch,
        "hypervisor": base.hypervisor,
        "disks_bus": base.disks_bus,
        "inbound_ports": tuple(base.inbound_ports),
        "outbound_ports": tuple(base.outbound_ports),
        "icmp": tuple(base.icmp),
        "default_user": base.default_user,
        "min_memory_mib": base.min_memory_mib,
    }


def _said(about: About, *, valid: datetime) -> Said:
    return Said(
        title=about.title,
        valid=valid,
        kind=Kind.MACHINE,
        description=about.comment,
        version=about.version,
        creator=about.author,
        publisher=usual_publisher(),
        **_inherited(about.based_on),
    )


def _answers(about: About) -> dict[str, Any]:
    """As the draft's form would hold it; how long it is valid is for its signer to say."""
    inherited = _inherited(about.based_on)
    answers = {
        **inherited,
        "kind": Kind.MACHINE.value,
        "title": about.title,
        "description": about.comment,
        "version": about.version,
        "creator": about.author,
        "publisher": usual_publisher(),
    }
    for name in ("inbound_ports", "outbound_ports", "icmp"):
        answers[name] = ", ".join(map(str, inherited.get(name, ())))
    return {name: value for name, value in answers.items() if value not in (None, "")}


def next_version(version: str) -> str:
    """What is offered for an image that is made from one of ``version``: its minor number + 1."""
    found = _NUMBERS.match(version.strip())
    if found is None:
        return "1.0"
    return f"{found[1]}.{int(found[2] or 0) + 1}"


def base_of(disk: Volume | None, owner: User) -> Entry | None:
    """What is said of the image that a disk was once made from, if its owner may read it."""
    if disk is None or not disk.identifier:
        return None
    entries = Entry.objects.visible_to(owner).filter(identifier=disk.identifier)
    found: Entry | None = entries.newest().best_first().first()
    return found
