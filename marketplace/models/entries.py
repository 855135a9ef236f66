"""What endorsers say about images. No verbs here: those are in ``actions``."""

import re
import uuid
from collections.abc import Iterable
from datetime import UTC
from pathlib import Path
from typing import Any, Self

from django.conf import settings
from django.core.validators import MaxValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from cloud.types import DiskBus, DiskFormat, ImageFormat
from marketplace import identifiers
from marketplace.search import tokens
from marketplace.search.index import Matches
from marketplace.states import Compression, EntryStatus, Kind, Trust, Visibility
from registration.models import Membership

#: What StratusLab's tools write where there is no system and no architecture.
NO_SYSTEM = "none"
#: How an endorsement's instant is written in addresses and documents.
CREATED_FORMAT = "%Y-%m-%dT%H:%M:%SZ"

DISK_BUSES = [(bus.value, bus.value) for bus in DiskBus]
FORMATS = [(form.value, form.value) for form in DiskFormat]
_WEB = re.compile(r"(?:https?|ftp)://", re.IGNORECASE)
_PDISK = re.compile(r"pdisk:", re.IGNORECASE)

_IDENTIFIER = RegexValidator(
    rf"^{identifiers.PATTERN}\Z", "An image identifier has 27 letters, digits, - or _."
)


def _hex(digits: int) -> RegexValidator:
    return RegexValidator(rf"^[0-9a-f]{{{digits}}}\Z", f"{digits} hexadecimal digits.")


#: All that lists ask of an entry. Every column of a question has to be there, or SQLite reads
#: the wide rows as well; a generated column counts as all of them.
_ASKED = [
    "is_deprecated", "valid_until", "visibility", "endorser_email", "alternative", "created_at",
    "owner", "group", "is_latest", "id",
]  # fmt: skip
_ALIKE = ["os", "os_version", "os_arch", "kind", "is_on_web", "is_on_pdisk", "is_official"]


def _narrow(name: str, *first: str) -> models.Index:
    """Lists read this and not the wide rows; what is counted together stands together."""
    there = {column.removeprefix("-") for column in first}
    rest = [column for column in (*_ALIKE, *_ASKED) if column not in there]
    return models.Index(
        fields=[*first, *rest],
        name=name,
        condition=Q(is_latest=True, valid_until__isnull=False),
    )


def default_ports() -> list[int]:
    return [22]


class EntryQuerySet(models.QuerySet["Entry"]):
    def visible_to(self, user: Any) -> Self:
        """What ``user`` may see, signed in or not. An entry outside it is a 404."""
        if not user.is_authenticated:
            return self.filter(visibility=Visibility.PUBLIC)
        if user.is_staff:
            return self
        groups = Membership.objects.filter(user=user).values("group")
        return self.filter(
            Q(visibility=Visibility.PUBLIC)
            | Q(owner=user)
            | Q(visibility=Visibility.GROUP, group__in=groups)
        )

    def with_status(self, status: str) -> Self:
        """Those that are in ``status`` now; every one for a word that is no status."""
        now = timezone.now()
        if status == EntryStatus.DEPRECATED:
            return self.filter(is_deprecated=True)
        current = self.filter(is_deprecated=False)
        match status:
            case EntryStatus.VALID:
                return current.filter(valid_until__gt=now)
            case EntryStatus.EXPIRED:
                return current.filter(valid_until__lte=now)
            case EntryStatus.UNDATED:
                return current.filter(valid_until=None)
        return self

    def listed(self) -> Self:
        """Those that lists may show: an entry without an end of validity is in none."""
        return self.filter(valid_until__isnull=False)

    def newest(self) -> Self:
        """The newest entry of each endorser about each image."""
        return self.filter(is_latest=True)

    def best_first(self) -> Self:
        """The site's own entries, then the others, each newest first."""
        return self.order_by("-is_official", "-created_at", "-pk")

    def history(self) -> Self:
        """Newest first."""
        return self.order_by("-created_at", "-pk")

    def search(self, text: str) -> Self:
        """Those that have every word of ``text``; the last letters of each may be missing."""
        if not text.strip(" \0"):
            return self
        terms = tokens.terms_of(text)
        return self.filter(Matches(terms)) if terms else self.none()

    def bulk_create(self, objs: Iterable["Entry"], *args: Any, **kwargs: Any) -> list["Entry"]:
        rows = list(objs)
        for row in rows:
            row.derive()
        return super().bulk_create(rows, *args, **kwargs)

    def update(self, **values: Any) -> int:
        if "deprecated" in values:
            values["is_deprecated"] = bool(values["deprecated"])
        return super().update(**values)

    def launchable(self) -> Self:
        """Machine images that may be started now, one entry per endorser and image."""
        machines = self.newest().filter(kind=Kind.MACHINE)
        return machines.with_status(EntryStatus.VALID).best_first()


class Entry(models.Model):
    """What one endorser says about one image. Never changed in substance, never deleted."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    identifier = models.CharField(max_length=27, validators=[_IDENTIFIER])
    endorser_email = models.EmailField(max_length=254)
    created_at = models.DateTimeField("endorsed")  # whole seconds: it is part of the address
    # No later word of the same endorser about the same image. Kept by ``actions``.
    is_latest = models.BooleanField(default=True, editable=False)
    uploaded_at = models.DateTimeField(default=timezone.now, editable=False)
    endorser_name = models.CharField(max_length=120, blank=True)
    # The site's own entries have no owner; nobody else can make an official one.
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="entries"
    )
    is_official = models.BooleanField(default=False, editable=False)
    visibility = models.CharField(max_length=10, choices=Visibility, default=Visibility.PUBLIC)
    group = models.ForeignKey(
        "registration.Group", models.SET_NULL, null=True, blank=True, related_name="+"
    )
    trust = models.CharField(max_length=10, choices=Trust, default=Trust.UNSIGNED)
    # The catalogue that it was imported from.
    source = models.ForeignKey(
        "marketplace.Source", models.SET_NULL, null=True, blank=True, related_name="entries"
    )

    title = models.CharField(max_length=200, blank=True)
    alternative = models.CharField("tag", max_length=100, blank=True)
    description = models.TextField(blank=True)
    publisher = models.CharField(max_length=120, blank=True)
    creator = models.CharField(max_length=120, blank=True)
    image_created_at = models.DateTimeField(null=True, blank=True)
    type = models.CharField(max_length=30, default="base", blank=True)  # dcterms:type
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.MACHINE)
    os = models.CharField("operating system", max_length=60, blank=True)
    os_version = models.CharField("version of the system", max_length=60, blank=True)
    os_arch = models.CharField("architecture", max_length=30, blank=True)
    version = models.CharField("version of the image", max_length=60, blank=True)
    serial = models.PositiveBigIntegerField("serial number", null=True, blank=True)

    format = models.CharField(max_length=10, choices=FORMATS, default=ImageFormat.QCOW2.value)
    compression = models.CharField(
        max_length=3, choices=Compression, default=Compression.NONE, blank=True
    )
    # Of the file as the cloud reads it, after unpacking; None where nobody said.
    size_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    # What a machine sees as its disk; None where nobody has looked.
    virtual_size_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    md5 = models.CharField("MD5", max_length=32, blank=True, validators=[_hex(32)])
    # Blank only for an entry of an index that does not state it; see ``identifiers``.
    sha1 = models.CharField("SHA-1", max_length=40, blank=True, validators=[_hex(40)])
    sha256 = models.CharField("SHA-256", max_length=64, blank=True, validators=[_hex(64)])
    sha512 = models.CharField("SHA-512", max_length=128, blank=True, validators=[_hex(128)])
    # URIs, tried in this order: http(s), or "pdisk:<site>:<uuid>" for a disk.
    locations = models.JSONField(default=list, blank=True)
    is_on_web = models.BooleanField(default=True, editable=False)  # or nowhere: somebody has it
    is_on_pdisk = models.BooleanField(default=False, editable=False)
    is_kept_here = models.BooleanField(default=False)  # among this site's own files
    # Another's entry that this one says again: its readers are the most that this one may have.
    said_again_of = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, editable=False, related_name="+"
    )

    valid_until = models.DateTimeField(null=True, blank=True)
    deprecated = models.CharField(max_length=500, blank=True)  # the reason; empty: it is not
    is_deprecated = models.BooleanField(default=False, editable=False)

    hypervisor = models.CharField(max_length=20, blank=True, default="kvm")
    disks_bus = models.CharField(max_length=10, choices=DISK_BUSES, default=DiskBus.VIRTIO.value)
    inbound_ports = models.JSONField(default=default_ports, blank=True)  # TCP; 0: every port
    outbound_ports = models.JSONField(default=list, blank=True)
    icmp = models.JSONField(default=list, blank=True)
    replaces = models.CharField(max_length=200, blank=True)
    is_replaced_by = models.CharField(max_length=200, blank=True)
    is_version_of = models.CharField(max_length=200, blank=True)
    default_user = models.CharField(max_length=32, default="root")
    min_memory_mib = models.PositiveIntegerField(
        default=0, validators=[MaxValueValidator(1024 * 1024)]
    )
    # What the index of words holds; a line for each of ``tokens.PARTS``.
    words = models.TextField(editable=False, blank=True)

    objects = EntryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "entries"
        ordering = ["-created_at", "-pk"]
        indexes = [
            models.Index(fields=["owner", "-created_at"], name="marketplace_entry_owner"),
            models.Index(
                fields=["endorser_email", "-created_at"], name="marketplace_entry_said_by"
            ),
            _narrow("marketplace_entry_shelf"),
            _narrow("marketplace_entry_endorsers", "endorser_email"),
            _narrow("marketplace_entry_tags", "alternative"),
            _narrow("marketplace_entry_best", "-is_official", "-created_at", "-id"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["identifier", "endorser_email", "created_at"],
                name="marketplace_entry_key",
            ),
            # One endorser has one last word about one image, whoever writes at the same time.
            models.UniqueConstraint(
                fields=["identifier", "endorser_email"],
                condition=Q(is_latest=True),
                name="marketplace_entry_latest",
            ),
            models.CheckConstraint(
                condition=Q(is_official=False) | Q(owner=None),
                name="marketplace_entry_official_is_the_sites",
            ),
            models.CheckConstraint(
                condition=Q(is_deprecated=False, deprecated="")
                | (Q(is_deprecated=True) & ~Q(deprecated="")),
                name="marketplace_entry_deprecated_has_a_reason",
            ),
        ]

    def __str__(self) -> str:
        return self.label

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.derive()
        super().save(*args, **kwargs)

    def get_absolute_url(self) -> str:
        return reverse("marketplace:entry", args=[self.identifier])

    def derive(self) -> None:
        """Set the columns that follow from others."""
        # Alice@ and alice@ are one endorser; the document keeps what she wrote.
        self.endorser_email = self.endorser_email.lower()
        self.words = tokens.indexed(self)
        self.is_deprecated = bool(self.deprecated)
        self.is_on_web = not self.locations or any(map(_WEB.match, self.locations))
        self.is_on_pdisk = any(map(_PDISK.match, self.locations))

    @property
    def permalink(self) -> str:
        """Where exactly this endorsement is found, for ever."""
        created = self.created_at.astimezone(UTC).strftime(CREATED_FORMAT)
        key = [self.identifier, self.endorser_email, created]
        return reverse("marketplace:endorsement", args=key)

    @property
    def label(self) -> str:
        """Its title; without one, what system it is; without that, its identifier."""
        arch = "" if self.os_arch == NO_SYSTEM else self.os_arch
        return self.title or f"{self.system} {arch}".strip() or self.identifier

    @property
    def summary(self) -> str:
        """The first sentence of the description."""
        return re.split(r"(?<=[.!?])\s", self.description.strip(), maxsplit=1)[0]

    @property
    def details(self) -> str:
        """The description after its first sentence."""
        return self.description.strip().removeprefix(self.summary).strip()

    @property
    def system(self) -> str:
        """What runs in a machine made from it; "" for a disk, whose endorser says "none"."""
        said = (self.os, self.os_version)
        return " ".join(word for word in said if word and word.lower() != NO_SYSTEM)

    @property
    def file_name(self) -> str:
        return f"{self.identifier}.{self.format}"

    @property
    def status(self) -> EntryStatus:
        if self.deprecated:
            return EntryStatus.DEPRECATED
        if self.valid_until is None:
            return EntryStatus.UNDATED
        return EntryStatus.VALID if self.valid_until > timezone.now() else EntryStatus.EXPIRED

    @property
    def is_launchable(self) -> bool:
        """Whether a machine may start from it now, unless a newer entry replaces it."""
        return self.kind == Kind.MACHINE and self.status is EntryStatus.VALID

    @property
    def endorser(self) -> str:
        return self.endorser_name or self.endorser_email

    @property
    def site_file(self) -> Path | None:
        """Where its file is on this site; None for a file that is elsewhere.

        Built from the identifier alone: no path that anybody typed is ever opened.
        """
        if not self.is_kept_here:
            return None
        return Path(settings.PORTAL_HOME) / "images" / self.file_name


class Document(models.Model):
    """The document that an entry was read from, to the byte, and what its signature is worth."""

    entry = models.OneToOneField(Entry, models.PROTECT, related_name="document")
    xml = models.BinaryField()
    # The signature: what was found when it was looked at.
    detail = models.CharField(max_length=500, blank=True)  # a sentence
    algorithm = models.CharField(max_length=40, blank=True)  # "rsa-sha256"
    subject = models.CharField(max_length=500, blank=True)  # RFC 2253
    issuer = models.CharField(max_length=500, blank=True)
    fingerprint = models.CharField(max_length=64, blank=True)  # SHA-256 of the certificate, hex
    not_before = models.DateTimeField(null=True, blank=True)
    not_after = models.DateTimeField(null=True, blank=True)
    verified_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"document of {self.entry_id}"

    @property
    def has_expired_certificate(self) -> bool:
        return self.not_after is not None and self.not_after < timezone.now()
