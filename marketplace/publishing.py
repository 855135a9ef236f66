"""The one way into the catalogue: a document that keeps every rule becomes an entry.

Below actions and workers alike: both publish.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from lxml import etree

from core.errors import Refused
from core.models import record
from marketplace import documents, opening, trusting
from marketplace.documents import Endorsement, Metadata, Signature
from marketplace.documents.reading import read
from marketplace.documents.values import printable
from marketplace.models import Document, Entry, EntryQuerySet, Source
from marketplace.states import Visibility
from registration.models import Group, User

_BETWEEN_PARTS = re.compile(r"(?<!\\)[,+]")
_ESCAPED = re.compile(r'\\([,+"\\<>;#= ])')
#: How far a clock that signs may be ahead of ours.
AHEAD = timedelta(hours=1)
#: Of an endorser, as lists show them.
LONGEST_NAME = 120
#: Each try that another publisher spoils has one of theirs in the catalogue.
MOST_TRIES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Who may read an entry. ``group`` with GROUP only.

    ``knows``: whoever opens it to everybody has read what was found in its disk.
    """

    visibility: Visibility = Visibility.PUBLIC
    group: Group | None = None
    knows: bool = False


EVERYBODY = Reader()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What is to be published: what the document says, and what the site says of it."""

    xml: bytes
    metadata: Metadata
    signature: Signature
    by: User | None
    verb: str
    columns: Mapping[str, Any]


def publish_document(
    xml: bytes,
    *,
    owner: User | None,
    by: User | None = None,
    readers: Reader = EVERYBODY,
    source: Source | None = None,
    is_official: bool = False,
    is_kept_here: bool = False,
    said_again_of: Entry | None = None,
    verb: str = "endorsed",
) -> Entry:
    """Make an entry of a signed document, to the byte as it came. The same again is that entry.

    Who may speak for the endorser's address is the caller's to know (``judging``).
    ``is_official`` and ``is_kept_here`` are the site's own to say, never a document's: whoever
    may read an entry that is kept here has the bytes. ``said_again_of``: another's entry, beyond
    whose readers this one is never opened.

    Raises:
        documents.Broken: it breaks rules of the format, or its signature is not valid.
        Refused: ``older`` than what the endorser said last, ``taken``: other words of the same
            endorser about the same image at the same second, ``in_future``: of a time to come,
            ``fewer_readers``: not all who read the last word would read this one.
    """
    limit = settings.PORTAL_METADATA_KIB << 10
    metadata = documents.parse(xml, largest_bytes=limit)
    signature = documents.verify(xml, largest_bytes=limit)
    _must_not_be_of_tomorrow(metadata)
    columns = {
        "owner": owner,
        "is_official": is_official,
        "is_kept_here": is_kept_here and is_official,
        "said_again_of": said_again_of,
        "visibility": readers.visibility,
        "group": readers.group,
        "source": source,
        "trust": trusting.trust_of(signature, _endorsement(metadata).created),
    }
    wanted = _Wanted(
        xml=xml, metadata=metadata, signature=signature, by=by, verb=verb, columns=columns
    )
    for _ in range(MOST_TRIES):
        try:
            return _publish(wanted)
        except IntegrityError as error:  # another's word about the image has just come in
            spoilt = error
    raise spoilt


def _publish(wanted: _Wanted) -> Entry:
    """Raises: IntegrityError: somebody else was faster; look again. Refused."""
    with transaction.atomic():
        last = last_words(wanted.metadata).select_for_update(no_key=True).first()
        if last and last.created_at >= _endorsement(wanted.metadata).created:
            return _same_or_refused(last, wanted.metadata, wanted.xml)
        if last:
            _must_reach_the_same(last, wanted.columns)
            Entry.objects.filter(pk=last.pk).update(is_latest=False)
        entry = Entry(**columns_of(wanted.metadata), **wanted.columns)
        is_public = entry.visibility == Visibility.PUBLIC
        is_asked = is_public and opening.needs_approval(entry, by=wanted.by)
        if is_asked:
            entry.visibility = Visibility.PRIVATE
        entry.save(force_insert=True)
        if is_asked:
            opening.ask(entry, by=wanted.by)
        elif last:
            opening.withdraw_older(entry)
        _keep_document(entry, wanted.xml, wanted.signature)
        said = {"identifier": entry.identifier, "endorser": entry.endorser_email}
        note(entry, wanted.verb, by=wanted.by, **said)
    return entry


def _must_reach_the_same(last: Entry, new: Mapping[str, Any]) -> None:
    """Who reads the endorser's last word is not left with an entry that is no longer stood by."""
    was, group = last.visibility, last.group_id if last.visibility == Visibility.GROUP else None
    if was == Visibility.PRIVATE or new["visibility"] == Visibility.PUBLIC:
        return
    is_same_group = group is not None and new["group"] is not None and new["group"].pk == group
    if was == new["visibility"] == Visibility.GROUP and (group is None or is_same_group):
        return
    who = "Everybody" if was == Visibility.PUBLIC else "A group"
    raise Refused(
        "fewer_readers",
        f"{who} can read what {last.endorser_email} said last about this image, and would not "
        "hear of this. Let the same people read it, or change who may read that entry first.",
        field="visibility",
    )


def said_already(metadata: Metadata, xml: bytes) -> Entry | None:
    """The entry that these bytes are in the catalogue, as far as a look can tell.

    Raises:
        Refused: ``older``, ``taken``, ``in_future``; see ``publish_document``.
    """
    _must_not_be_of_tomorrow(metadata)
    last = last_words(metadata).first()
    if last is None or last.created_at < _endorsement(metadata).created:
        return None
    return _same_or_refused(last, metadata, xml)


def _endorsement(metadata: Metadata) -> Endorsement:
    if metadata.endorsement is None:
        raise Refused("not_endorsed", "The document has no slreq:endorsement.")
    return metadata.endorsement


def _must_not_be_of_tomorrow(metadata: Metadata) -> None:
    """It would be the last word until then, whatever its endorser says meanwhile."""
    created = _endorsement(metadata).created
    if created > timezone.now() + AHEAD:
        raise Refused(
            "in_future",
            f"It is endorsed at {created:%Y-%m-%d %H:%M:%S} UTC, which is still to come. Set the "
            "clock of the computer that signs, and sign it again.",
        )


def last_words(metadata: Metadata) -> EntryQuerySet:
    """What its endorser said last about the image: one entry, or none."""
    email = _endorsement(metadata).email.lower()
    return Entry.objects.filter(
        identifier=metadata.identifier, endorser_email=email, is_latest=True
    )


def _same_or_refused(last: Entry, metadata: Metadata, xml: bytes) -> Entry:
    created = _endorsement(metadata).created
    twins = Document.objects.select_related("entry").filter(
        entry__identifier=last.identifier,
        entry__endorser_email=last.endorser_email,
        entry__created_at=created,
    )
    twin = twins.first()
    if twin and _is_same(bytes(twin.xml), xml):
        return twin.entry
    if last.created_at == created:
        raise Refused(
            "taken",
            f"{last.endorser_email} has said something else of this image at {created:%H:%M:%S} on "
            f"{created:%Y-%m-%d} already. Sign it again: each endorsement has a second of its own.",
        )
    raise Refused(
        "older",
        f"older than latest entry: {last.endorser_email} endorsed this image at "
        f"{last.created_at:%Y-%m-%d %H:%M:%S} UTC, this document is of {created:%Y-%m-%d %H:%M:%S} "
        "UTC. Sign it again to say something new.",
    )


def _is_same(one: bytes, other: bytes) -> bool:
    """To the byte, or as far as a signature can tell: lists and forms change what is around it."""
    return one == other or _as_signed(one) == _as_signed(other)


def _as_signed(xml: bytes) -> bytes:
    root = read(xml, largest_bytes=len(xml))
    return etree.tostring(root, method="c14n", with_comments=False, with_tail=False)


def columns_of(metadata: Metadata) -> dict[str, Any]:
    """The columns of ``Entry`` that a document says; it says nothing too long for them."""
    endorsement = _endorsement(metadata)
    return {
        **_of_the_file(metadata),
        **_of_the_image(metadata),
        "endorser_email": endorsement.email.lower(),
        "endorser_name": common_name(endorsement.subject)[:LONGEST_NAME],
        "created_at": endorsement.created,
    }


def _of_the_file(metadata: Metadata) -> dict[str, Any]:
    sums = metadata.checksums
    return {
        "identifier": metadata.identifier,
        "size_bytes": metadata.size_bytes,
        "virtual_size_bytes": metadata.virtual_size_bytes,
        "md5": sums.get("MD5", ""),
        "sha1": sums.get("SHA-1", ""),
        "sha256": sums.get("SHA-256", ""),
        "sha512": sums.get("SHA-512", ""),
        "compression": metadata.compression,
        "format": metadata.format or "raw",
        "locations": list(metadata.locations),
    }


def _of_the_image(metadata: Metadata) -> dict[str, Any]:
    return {
        "type": metadata.type,
        "kind": metadata.kind if metadata.kind in ("machine", "disk") else "machine",
        "os": metadata.os,
        "os_version": metadata.os_version,
        "os_arch": metadata.os_arch,
        "version": metadata.version,
        "serial": metadata.serial_number,
        "creator": metadata.creator,
        "image_created_at": metadata.created,
        "valid_until": metadata.valid,
        "title": metadata.title,
        "alternative": metadata.alternative,
        "description": metadata.description,
        "publisher": metadata.publisher,
        "hypervisor": metadata.hypervisor,
        "disks_bus": metadata.disks_bus or "virtio",
        "inbound_ports": list(metadata.inbound_ports),
        "outbound_ports": list(metadata.outbound_ports),
        "icmp": list(metadata.icmp),
        "deprecated": _reason(metadata),
        "replaces": metadata.replaces,
        "is_replaced_by": metadata.is_replaced_by,
        "is_version_of": metadata.is_version_of,
        "default_user": metadata.default_user or "root",
        "min_memory_mib": metadata.min_memory_mib,
    }


def _reason(metadata: Metadata) -> str:
    """An empty ``slterms:deprecated`` deprecates as well."""
    if metadata.deprecated is None:
        return ""
    return metadata.deprecated or "This image has been deprecated."


def common_name(subject: str) -> str:
    """The CN of an RFC 2253 name, as it can be shown; or ""."""
    for part in _BETWEEN_PARTS.split(subject):
        name, _, value = part.strip().partition("=")
        if name.upper() == "CN":
            return printable(_ESCAPED.sub(r"\1", value))
    return ""


def _keep_document(entry: Entry, xml: bytes, signature: Signature) -> None:
    Document.objects.create(
        entry=entry,
        xml=xml,
        detail=trusting.in_words(signature, entry.created_at),
        algorithm=signature.algorithm,
        subject=signature.subject,
        issuer=signature.issuer,
        fingerprint=signature.fingerprint,
        not_before=signature.certificate.not_valid_before_utc,
        not_after=signature.certificate.not_valid_after_utc,
        verified_at=timezone.now(),
    )


def note(
    entry: Entry, verb: str, *, by: User | None = None, reason: str = "", **detail: Any
) -> None:
    """Append a line about an entry to the history."""
    record(
        "entry", entry.uuid, verb, by=by, owner=entry.owner_id, label=str(entry), reason=reason,
        **detail,
    )  # fmt: skip
