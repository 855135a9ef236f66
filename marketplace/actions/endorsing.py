"""Say something of an image, signed: for the first time, again, for longer, or that it is over.

Entries are never changed. Each of these makes a new one, a second later at least than the
last of the same endorser.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from core.errors import Refused
from marketplace import documents
from marketplace.actions.pens import Pen, addresses_of
from marketplace.actions.publishing import EVERYBODY, Reader, publish_document
from marketplace.actions.readers import bound_of, seen_now
from marketplace.documents import Metadata, Signer
from marketplace.identifiers import identifier_of, is_identifier
from marketplace.models import Entry, ImageFile
from marketplace.states import Visibility
from registration.models import User

#: Six months: what is offered to whoever vouches for an image.
SIX_MONTHS = timedelta(days=183)
#: Nobody vouches for an image for longer than that.
LONGEST = timedelta(days=5 * 366)
LONGEST_REASON = 500
#: Somebody else of the same address may sign in the same second.
_TRIES = 3
#: What a document calls each of the checksums that were found of a copy.
_SUMS = {"md5": "MD5", "sha1": "SHA-1", "sha256": "SHA-256", "sha512": "SHA-512"}


def metadata_of(entry: Entry) -> Metadata:
    """What an entry says: by its document, or by its columns when it has none.

    Raises:
        Refused: ``no_sha1``: an entry of an index that states none; no document can be written.
    """
    document = getattr(entry, "document", None)
    if document is not None:
        return documents.parse(bytes(document.xml))
    metadata = _metadata_of_columns(entry)
    if is_identifier(entry.identifier) and entry.size_bytes is not None and entry.sha1:
        return metadata
    found = _found_of(entry)
    if found is None:
        raise Refused(
            "no_sha1",
            "Where this entry comes from, nobody states the image's SHA-1, which names it in a "
            "signed document. Launch a machine from it, which has it fetched and measured; or "
            "build metadata from the address of its file.",
        )
    return replace(
        metadata,
        identifier=identifier_of(found.sums["sha1"]),
        size_bytes=found.size_bytes or 0,
        checksums={name: found.sums[known] for known, name in _SUMS.items() if known in found.sums},
        virtual_size_bytes=found.virtual_size_bytes,
        deprecated=None,
    )


def _found_of(entry: Entry) -> ImageFile | None:
    """A copy that this entry's own locations led to, if its SHA-1 and size are known."""
    copies = ImageFile.objects.filter(identifier=entry.identifier, proven_by=entry)
    return next((copy for copy in copies if "sha1" in copy.sums and copy.size_bytes), None)


def _metadata_of_columns(entry: Entry) -> Metadata:
    sums = (
        ("MD5", entry.md5), ("SHA-1", entry.sha1), ("SHA-256", entry.sha256),
        ("SHA-512", entry.sha512),
    )  # fmt: skip
    return Metadata(
        identifier=entry.identifier,
        size_bytes=entry.size_bytes or 0,
        checksums={name: value for name, value in sums if value},
        type=entry.type,
        kind=entry.kind,
        os=entry.os,
        os_version=entry.os_version,
        os_arch=entry.os_arch,
        version=entry.version,
        serial_number=entry.serial,
        compression=entry.compression,
        format=entry.format,
        creator=entry.creator,
        created=entry.image_created_at,
        valid=entry.valid_until,
        title=entry.title,
        alternative=entry.alternative,
        description=entry.description,
        publisher=entry.publisher,
        locations=tuple(entry.locations),
        hypervisor=entry.hypervisor,
        disks_bus=entry.disks_bus,
        inbound_ports=tuple(entry.inbound_ports),
        outbound_ports=tuple(entry.outbound_ports),
        icmp=tuple(entry.icmp),
        deprecated=entry.deprecated or None,
        replaces=entry.replaces,
        is_replaced_by=entry.is_replaced_by,
        is_version_of=entry.is_version_of,
        default_user=entry.default_user,
        min_memory_mib=entry.min_memory_mib,
        virtual_size_bytes=entry.virtual_size_bytes,
    )


@sensitive_variables("signer")
def sign_and_publish(
    metadata: Metadata,
    *,
    signer: Signer,
    email: str = "",
    owner: User | None,
    by: User | None = None,
    readers: Reader = EVERYBODY,
    is_official: bool = False,
    is_kept_here: bool = False,
    said_again_of: Entry | None = None,
    verb: str = "endorsed",
) -> Entry:
    """Write, sign and publish: now, and later than this endorser's last word about the image.

    ``email`` is for a certificate that names no address. Who may speak for it is the caller's
    to know.

    Raises:
        documents.Broken: the metadata break rules, or this signer cannot sign them.
        Refused: as ``publish_document``.
    """
    for left in reversed(range(_TRIES)):
        xml = signed(metadata, signer=signer, email=email)
        try:
            return publish_document(
                xml, owner=owner, by=by, readers=readers, is_official=is_official,
                is_kept_here=is_kept_here, said_again_of=said_again_of, verb=verb,
            )  # fmt: skip
        except Refused as refused:
            if refused.code not in ("older", "taken") or not left:
                raise
    raise AssertionError("unreachable")


@sensitive_variables("signer")
def signed(metadata: Metadata, *, signer: Signer, email: str = "") -> bytes:
    """The document, signed at the next second that is this endorser's to sign in.

    Raises:
        documents.Broken: the metadata break rules, or this signer cannot sign them.
    """
    address = next(iter(addresses_of(signer.certificate)), email)
    at = timezone.now().replace(microsecond=0)
    said = Entry.objects.filter(identifier=metadata.identifier, endorser_email=address.lower())
    last = said.order_by("-created_at").values_list("created_at", flat=True).first()
    if last is not None:
        at = max(at, last + timedelta(seconds=1))
    xml = documents.write(replace(metadata, endorsement=None))
    return documents.sign(xml, signer, at=at, email=email)


def deprecate(entry: Entry, *, by: User, reason: str, pen: Pen) -> Entry:
    """Say that an image should not be used any more, and why. The new entry says so.

    Raises:
        Refused: ``reason_missing``, ``not_the_endorser``, ``not_latest``, ``deprecated``,
            ``no_sha1``, ``unwritable``.
    """
    reason = " ".join(reason.split())
    if not reason or len(reason) > LONGEST_REASON:
        raise Refused(
            "reason_missing",
            f"Say why, in 1 to {LONGEST_REASON} characters: it is what people who wanted to use "
            "the image will read.",
            field="reason",
        )
    _must_be_their_last_word(entry, by, pen)
    _must_be_in_use(entry)
    return _say_again(entry, replace(metadata_of(entry), deprecated=reason), by, pen, "deprecated")


def extend(entry: Entry, *, by: User, until: datetime, pen: Pen) -> Entry:
    """Vouch for an image for longer, or shorter.

    Raises:
        Refused: ``until``, ``not_the_endorser``, ``not_latest``, ``deprecated``, ``no_sha1``,
            ``unwritable``.
    """
    _must_be_their_last_word(entry, by, pen)
    _must_be_in_use(entry)
    metadata = replace(metadata_of(entry), valid=end_of_validity(until))
    return _say_again(entry, metadata, by, pen, "extended")


def endorse_again(entry: Entry, *, by: User, until: datetime, pen: Pen) -> Entry:
    """Vouch for what somebody else endorsed, under one's own address; for the same readers.

    Raises:
        Refused: ``until``, ``own_entry``, ``deprecated``, ``no_sha1``, ``entry_gone``,
            ``unwritable``.
    """
    if pen.email.lower() == entry.endorser_email.lower():
        sentence = "This entry is endorsed by the same address already: extend it instead."
        raise Refused("own_entry", sentence)
    _must_be_in_use(entry)
    metadata = replace(metadata_of(entry), valid=end_of_validity(until), deprecated=None)
    owner = None if pen.is_site else by
    bound = bound_of(entry, owner)
    return _publish(entry, metadata, by, pen, "endorsed", owner=owner, bound=bound)


def end_of_validity(until: datetime) -> datetime:
    """Raises: Refused: ``until``."""
    now = timezone.now()
    if not now < until <= now + LONGEST:
        raise Refused(
            "until",
            "Validity ends in the future, at most five years from now: by "
            f"{now + LONGEST:%-d %B %Y}.",
            field="valid",
        )
    return until.replace(microsecond=0)


def may_speak_for(entry: Entry, user: User) -> bool:
    """Whether this person is the endorser, or an administrator and the entry is the site's."""
    if entry.is_official:
        return bool(user.is_staff)
    return is_their_address(entry.endorser_email, user)


def is_their_address(email: str, user: User) -> bool:
    """Whether ``email`` is this person's own address, and they have shown that it is."""
    return user.email_confirmed_at is not None and user.email.lower() == email.lower()


def _must_be_their_last_word(entry: Entry, by: User, pen: Pen) -> None:
    is_same = pen.email.lower() == entry.endorser_email.lower()
    if not may_speak_for(entry, by) or not is_same or pen.is_site != entry.is_official:
        raise Refused(
            "not_the_endorser",
            f"Only {entry.endorser_email} may say this, with a key of that address: an entry "
            "belongs to who endorsed it. Others may endorse the image as well, and administrators "
            "may put it on the site's black list.",
        )
    if not entry.is_latest:
        raise Refused(
            "not_latest",
            f"{entry.endorser_email} has said something newer about this image: look at that.",
        )


def _must_be_in_use(entry: Entry) -> None:
    if entry.deprecated:
        raise Refused(
            "deprecated",
            f"This entry is deprecated: {entry.deprecated} To vouch for the image again, build its "
            "metadata from this entry.",
        )


def _say_again(entry: Entry, metadata: Metadata, by: User, pen: Pen, verb: str) -> Entry:
    owner = None if pen.is_site else entry.owner or by
    bound = entry.said_again_of
    return _publish(entry, metadata, by, pen, verb, owner=owner, bound=bound)


def _publish(
    entry: Entry,
    metadata: Metadata,
    by: User,
    pen: Pen,
    verb: str,
    *,
    owner: User | None,
    bound: Entry | None,
) -> Entry:
    """For the readers that the entry has: what is said again reaches nobody new.

    Raises: Refused: ``entry_gone``, ``unwritable``, and those of ``publish_document``.
    """
    try:
        with transaction.atomic():
            now = seen_now(entry, by)
            return sign_and_publish(
                metadata,
                signer=pen.signer,
                email=pen.email,
                owner=owner,
                by=by,
                readers=Reader(visibility=Visibility(now.visibility), group=now.group),
                is_official=pen.is_site,
                is_kept_here=now.is_kept_here,
                said_again_of=bound,
                verb=verb,
            )
    except documents.Broken as broken:
        raise Refused("unwritable", f"This entry cannot be said again: {broken}") from broken
