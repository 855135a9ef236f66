"""Metadata in the making: begun from a disk, an address, a file or an entry; kept; published."""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from cloud.types import DiskFormat
from core import fetch
from core.errors import Refused
from core.machine import StaleState
from marketplace import tasks
from marketplace.actions.endorsing import metadata_of
from marketplace.actions.inspecting import inspect
from marketplace.identifiers import identifier_of, is_identifier
from marketplace.models import Draft, Entry
from marketplace.states import Compression, DraftSource, DraftState
from registration.models import User
from volumes.asking import must
from volumes.models import Access, Volume

#: On the list at a time, of one person.
MOST_DRAFTS = 50
#: Measured at the same time, of one person: the site has one line, and few processors.
MOST_MEASURED = 3
LONGEST_URL = 500
#: What is kept of a form; the answers of the longest legal one are a part of it.
LONGEST_ANSWERS = 128 << 10
LARGEST_BYTES = 1 << 50
OPEN = (DraftState.WANTED, DraftState.MEASURING, DraftState.READY, DraftState.FAILED)
MEASURED = (DraftState.WANTED, DraftState.MEASURING)
_DIGITS = {"md5": 32, "sha1": 40, "sha256": 64, "sha512": 128}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a browser has found of a file on its computer; checksums are of what is unpacked."""

    name: str
    size_bytes: int
    sha1: str
    sha256: str
    sha512: str
    md5: str = ""
    format: str = "raw"
    compression: str = ""
    virtual_size_bytes: int | None = None


def draft_of_disk(
    volume: Volume, *, by: User, create_key: UUID, fields: Mapping[str, Any] | None = None
) -> Draft:
    """Begin metadata of a disk of one's own. A worker measures it. Twice is once.

    Raises:
        Refused: ``not_yours``, ``disk_state``, ``disk_written``, ``too_many_drafts``,
            ``too_many_measured``.
    """
    situation = must(volume, "download", by=by)
    if situation.access != Access.OWN:
        raise Refused("not_yours", "Only the owner of a disk publishes it: copy it first.")
    if refusal := situation.being_written():
        raise refusal
    about = {"about": DraftSource.DISK, "volume": volume, "cloud": volume.cloud}
    draft = _begin(by, create_key, about, fields)
    inspect(volume)  # before it goes to everybody, its report is read
    return draft


def draft_of_known_disk(
    volume: Volume, *, by: User, create_key: UUID, fields: Mapping[str, Any]
) -> Draft:
    """Begin metadata of a disk of one's own whose checksums are known, and are those of its bytes.

    Raises:
        Refused: ``not_yours``, ``disk_state``, ``disk_written``, ``too_many_drafts``.
    """
    situation = must(volume, "download", by=by)
    if situation.access != Access.OWN:
        raise Refused("not_yours", "Only the owner of a disk publishes it: copy it first.")
    if refusal := situation.being_written():
        raise refusal
    about = {
        "about": DraftSource.DISK,
        "state": DraftState.READY,
        "volume": volume,
        "cloud": volume.cloud,
        "identifier": identifier_of(volume.sha1),
        "size_bytes": volume.size_bytes,
        "virtual_size_bytes": volume.size_bytes,
        "format": str(DiskFormat.RAW),
        **{name: getattr(volume, name) for name in ("sha1", "sha256", "sha512")},
    }
    draft = _begin(by, create_key, about, fields)
    inspect(volume)
    return draft


def draft_of_url(
    url: str, *, by: User, create_key: UUID, fields: Mapping[str, Any] | None = None
) -> Draft:
    """Begin metadata of a file on the web. A worker fetches it once, and keeps nothing of it.

    Raises:
        Refused: ``url``, ``too_many_drafts``, ``too_many_measured``.
    """
    _must_be_fetchable(url)
    return _begin(by, create_key, {"about": DraftSource.URL, "url": url}, fields)


def _must_be_fetchable(url: str) -> None:
    """As far as a look can tell. Raises: Refused: ``url``."""
    if len(url) > LONGEST_URL:
        sentence = f"An address has at most {LONGEST_URL} characters."
        raise Refused("url", sentence, field="url")
    try:
        parts = fetch.check(url, settings.PORTAL_FETCH_PORTS)
    except fetch.Unfetchable as error:
        raise Refused("url", str(error), field="url") from error
    with suppress(ValueError):  # a name: what it leads to is judged when it is fetched
        address = ip_address(str(parts.hostname))
        if not fetch.may_reach(address, fetch.networks(settings.PORTAL_FETCH_NETWORKS)):
            raise Refused(
                "url",
                f"{address} is inside a private network: nobody else could fetch the image from "
                "there. Put the file on a web server that others can reach.",
                field="url",
            )


def draft_of_file(found: Measured, *, by: User, create_key: UUID) -> Draft:
    """Begin metadata of a file that this person's browser has measured.

    Raises:
        Refused: ``measured``, ``too_many_drafts``.
    """
    sums = {name: getattr(found, name).lower() for name in _DIGITS}
    for name, digits in _DIGITS.items():
        if sums[name] and not re.fullmatch(rf"[0-9a-f]{{{digits}}}", sums[name]):
            raise Refused("measured", f"A {name.upper()} has {digits} hexadecimal digits.")
    if not sums["sha1"]:
        raise Refused("measured", "The SHA-1 is missing: measure the file first.")
    if not 0 < found.size_bytes <= LARGEST_BYTES:
        raise Refused("measured", "The file is empty, or its size is missing: measure it first.")
    if found.format not in set(DiskFormat) or found.compression not in Compression.values:
        raise Refused("measured", "This form was not filled in by the page that measures files.")
    about = {
        "about": DraftSource.FILE,
        "state": DraftState.READY,
        "size_bytes": found.size_bytes,
        "virtual_size_bytes": found.virtual_size_bytes or found.size_bytes,
        "format": found.format,
        "compression": found.compression,
        "identifier": identifier_of(sums["sha1"]),
        **sums,
    }
    fields = {"compression": found.compression, "file_name": found.name[:200]}
    return _begin(by, create_key, about, fields)


def draft_of_entry(entry: Entry, *, by: User, create_key: UUID, fields: Mapping[str, Any]) -> Draft:
    """Begin metadata that say of the same image something else than ``entry`` does.

    An entry of an index without SHA-1 is measured first, from its address. ``fields`` are the
    form's answers, filled in from it.

    Raises:
        Refused: ``no_sha1``, ``url``, ``too_many_drafts``, ``too_many_measured``.
    """
    if not is_identifier(entry.identifier):
        web = next((url for url in entry.locations if url.startswith(("http:", "https:"))), "")
        if web:
            return draft_of_url(web, by=by, create_key=create_key, fields=fields)
    metadata = metadata_of(entry)
    about = {
        "about": DraftSource.ENTRY,
        "state": DraftState.READY,
        "based_on": entry,
        "identifier": metadata.identifier,
        "size_bytes": metadata.size_bytes,
        "virtual_size_bytes": entry.virtual_size_bytes,
        "format": metadata.format or "raw",
        "compression": metadata.compression,
        "md5": metadata.checksums.get("MD5", ""),
        "sha1": metadata.checksums["SHA-1"],
        "sha256": metadata.checksums.get("SHA-256", ""),
        "sha512": metadata.checksums.get("SHA-512", ""),
    }
    return _begin(by, create_key, about, fields)


def _begin(
    by: User, create_key: UUID, about: Mapping[str, Any], fields: Mapping[str, Any] | None
) -> Draft:
    """Raises: Refused: ``too_many_drafts``, ``too_many_measured``, ``too_long``."""
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=by.pk)  # two tabs, one limit
        drafts = Draft.objects.filter(owner=by)
        known: Draft | None = drafts.filter(create_key=create_key).first()
        if known is not None:
            return known
        is_measured = "state" not in about
        _must_not_be_many(by, is_measured=is_measured)
        draft = Draft(owner=by, create_key=create_key, **{"cloud": settings.DEFAULT_CLOUD, **about})
        draft.fields = _kept(fields or {})
        draft.next_tick_at = timezone.now() if is_measured else None
        draft.save(force_insert=True)
        draft.record_event("asked", by=by, now=str(draft.state), about=str(draft.about))
        draft.announce()
        if is_measured:
            tasks.ring_row(draft)
    return draft


def _must_not_be_many(owner: User, *, is_measured: bool) -> None:
    drafts = Draft.objects.filter(owner=owner)
    if drafts.filter(state__in=OPEN).count() >= MOST_DRAFTS:
        raise Refused(
            "too_many_drafts",
            f"You have {MOST_DRAFTS} drafts, the most at a time: publish one or drop one.",
        )
    if is_measured and drafts.filter(state__in=MEASURED).count() >= MOST_MEASURED:
        raise Refused(
            "too_many_measured",
            f"{MOST_MEASURED} images are being measured for you, the most at a time: wait for one.",
        )


def keep_draft(draft: Draft, fields: Mapping[str, Any]) -> None:
    """Keep the answers of the form as they are, good or not: nothing that was typed is lost.

    Raises: Refused: ``draft_state``, ``draft_waiting``, ``too_long``.
    """
    _must_allow(draft, "change")
    kept = _kept(fields)
    rows = Draft.objects.filter(pk=draft.pk, state__in=OPEN)
    if not rows.update(fields=kept):
        raise _changed(draft)
    draft.fields = kept


def _kept(fields: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in fields.items() if value not in (None, "", [])}
    if len(json.dumps(kept)) > LONGEST_ANSWERS:
        sentence = f"The answers have more than {LONGEST_ANSWERS >> 10} KiB together: shorten them."
        raise Refused("too_long", sentence)
    return kept


def measure_again(draft: Draft, *, by: User, url: str = "") -> None:
    """Have what a draft is about measured once more; a file on the web from ``url``, if given.

    Raises: Refused: ``draft_state``, ``draft_waiting``, ``too_many_measured``, ``url``.
    """
    must_not_wait(draft)
    if draft.about not in (DraftSource.DISK, DraftSource.URL):
        raise Refused("draft_state", "What it is about was not measured by the portal.")
    if DraftState.WANTED not in Draft.MOVES[str(draft.state)]:
        raise _changed(draft)
    where = url if draft.about == DraftSource.URL and url else draft.url
    if where != draft.url:
        _must_be_fetchable(where)
    _must_not_be_many(by, is_measured=True)
    nothing = dict.fromkeys(("identifier", "md5", "sha1", "sha256", "sha512"), "")
    _move(
        draft, DraftState.WANTED, by=by, verb="measure_again", bytes_done=0, bytes_total=0,
        url=where, doubt="", **nothing,
    )  # fmt: skip
    tasks.ring_row(draft)


def drop_draft(draft: Draft, *, by: User) -> None:
    """Throw a draft away. Raises: Refused: ``draft_state``, ``draft_waiting``."""
    _must_allow(draft, "drop")
    _move(draft, DraftState.DROPPED, by=by, verb="dropped")


def must_not_wait(draft: Draft) -> None:
    """Raises: Refused: ``draft_waiting``: it is signed, and its endorser is asked by mail."""
    if draft.is_waiting and draft.pending is not None:
        raise Refused(
            "draft_waiting",
            f"It is signed, and {draft.pending.email} is asked by mail whether it may be "
            "published: wait for the answer, or withdraw it.",
        )


def _must_allow(draft: Draft, verb: str) -> None:
    must_not_wait(draft)
    if verb not in draft.verbs:
        raise _changed(draft)


def _changed(draft: Draft) -> Refused:
    draft.refresh_from_db(fields=["state", "reason"])
    what = draft.get_state_display().lower()
    return Refused("draft_state", f"This draft is “{what}” by now. Reload the page.")


def _move(draft: Draft, to: str, **more: Any) -> None:
    try:
        draft.move(to, **more)
    except StaleState:
        raise _changed(draft) from None
