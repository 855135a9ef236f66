"""Disks: what they are, whose they are, and who may do what with them."""

from typing import Any, ClassVar, Self

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Case, F, Q, Sum, When
from django.db.models.functions import Coalesce
from django.urls import reverse

from core.machine import Stateful
from registration.models import GIB, Membership
from volumes.states import (
    ARRIVING,
    GONE,
    UNLISTED,
    VOLUME_DEADLINES,
    VOLUME_MEANINGS,
    VOLUME_MOVES,
    VOLUME_VERBS,
    VolumeState,
)

#: Sizes of disks are multiples of it.
SECTOR = 512
SMALLEST_GIB = 1
LARGEST_GIB = 1024
LONGEST_TAG = 40
#: What a row says while nobody knows how large the disk will be.
UNKNOWN_BYTES = 512
#: There is something to use, for those whom it is open to.
SEEN_BY_OTHERS = frozenset({VolumeState.AVAILABLE, VolumeState.IN_USE, VolumeState.GROWING})


class Visibility(models.TextChoices):
    PRIVATE = "private", "Private"
    PUBLIC = "public", "Public"


class DiskType(models.TextChoices):
    """What a disk is for. Source: StratusLab pdisk, ``DiskType`` (stratuslab.md 4.2)."""

    MACHINE_IMAGE_ORIGIN = "MACHINE_IMAGE_ORIGIN", "Machine image, original"
    MACHINE_IMAGE_LIVE = "MACHINE_IMAGE_LIVE", "Machine image, live"
    DATA_IMAGE_ORIGIN = "DATA_IMAGE_ORIGIN", "Data image, original"
    DATA_IMAGE_LIVE = "DATA_IMAGE_LIVE", "Data image, live"
    DATA_IMAGE_RAW_READONLY = "DATA_IMAGE_RAW_READONLY", "Read-only data"
    DATA_IMAGE_RAW_READ_WRITE = "DATA_IMAGE_RAW_READ_WRITE", "Data"


T = DiskType
#: Plugged in beside a machine's root disk. An original is copied, a live machine image booted.
PLUGGABLE = frozenset({T.DATA_IMAGE_LIVE, T.DATA_IMAGE_RAW_READONLY, T.DATA_IMAGE_RAW_READ_WRITE})
WRITABLE = frozenset({T.DATA_IMAGE_LIVE, T.DATA_IMAGE_RAW_READ_WRITE, T.MACHINE_IMAGE_LIVE})
BOOTABLE = frozenset({T.MACHINE_IMAGE_LIVE})
MACHINE_IMAGES = frozenset({T.MACHINE_IMAGE_ORIGIN, T.MACHINE_IMAGE_LIVE})


class Origin(models.TextChoices):
    CREATED = "created", "Created empty"
    UPLOADED = "uploaded", "Uploaded"
    FETCHED = "fetched", "Fetched from a URL"
    COPIED = "copied", "Copied"
    SAVED = "saved", "Saved from a machine"
    CLEANED = "cleaned", "Copied and cleaned"


class Access(models.TextChoices):
    """What somebody may do with a disk; each may do what those before it may."""

    READ = "read", "Read only"
    WRITE = "write", "Read and write"
    OWN = "own", "Owner"


class VolumeQuerySet(models.QuerySet["Volume"]):
    def visible_to(self, user: Any) -> Self:
        """What ``user`` may see. A disk outside it is a 404, never a 403.

        Others see of a disk only what there is to use: not its bin, not its failures.
        """
        if not user.is_authenticated:
            return self.none()
        if user.is_staff:
            return self
        return self.filter(Q(owner=user) | self._open_to_others() & self._opened_to(user))

    def shared_with(self, user: Any) -> Self:
        """Disks of others that were shared with ``user``, by name or through a group."""
        return self.filter(self._open_to_others(), pk__in=Share.objects.reaching(user)).exclude(
            owner=user
        )

    def public_of_others(self, user: Any) -> Self:
        return self.filter(self._open_to_others(), visibility=Visibility.PUBLIC).exclude(owner=user)

    @staticmethod
    def _open_to_others() -> Q:
        return Q(state__in=SEEN_BY_OTHERS)

    @staticmethod
    def _opened_to(user: Any) -> Q:
        return Q(visibility=Visibility.PUBLIC) | Q(pk__in=Share.objects.reaching(user))

    def listed(self) -> Self:
        """Without the bin and what is gone."""
        return self.exclude(state__in=UNLISTED)

    def held(self) -> Self:
        """Those that take room on the site, the bin included."""
        return self.exclude(state__in=GONE)

    def bytes_held(self) -> int:
        """What they count for in a quota, together: one that grows counts as it will be."""
        resized = (VolumeState.GROWING, VolumeState.RESTORING)
        grows = When(state__in=resized, wanted_bytes__isnull=False, then=F("wanted_bytes"))
        size = Case(grows, default=F("size_bytes"))
        return int(self.held().aggregate(n=Coalesce(Sum(size), 0))["n"])


class Volume(Stateful):
    """A disk that a person keeps."""

    KIND = "volume"
    MOVES = VOLUME_MOVES
    DEADLINES = VOLUME_DEADLINES

    state = models.CharField(max_length=12, choices=VolumeState, default=VolumeState.CREATING)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="volumes")
    cloud = models.CharField(max_length=40)
    # Chosen by the browser before it asks: the same form sent twice makes one disk.
    create_key = models.UUIDField()
    tag = models.CharField(max_length=LONGEST_TAG, blank=True)
    # What a guest sees, and what counts in the quota. While a file arrives: what is known of it.
    size_bytes = models.PositiveBigIntegerField(
        validators=[MinValueValidator(SECTOR), MaxValueValidator(LARGEST_GIB * GIB)]
    )
    visibility = models.CharField(max_length=8, choices=Visibility, default=Visibility.PRIVATE)
    type = models.CharField(
        max_length=26, choices=DiskType, default=DiskType.DATA_IMAGE_RAW_READ_WRITE
    )
    origin = models.CharField(max_length=8, choices=Origin, default=Origin.CREATED)
    source = models.ForeignKey("self", models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    # What the bytes were that came in; of an image, unpacked.
    identifier = models.CharField(max_length=27, blank=True)  # StratusLab's, from the SHA-1
    content_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    sha1 = models.CharField(max_length=40, blank=True)
    sha256 = models.CharField(max_length=64, blank=True)
    sha512 = models.CharField(max_length=128, blank=True)
    # Since when machines write to it: identifier and checksums are of the time before.
    written_at = models.DateTimeField(null=True, blank=True)

    cloud_ref = models.CharField(max_length=80, blank=True)
    used_bytes = models.PositiveBigIntegerField(null=True, blank=True)  # what the site keeps of it
    bytes_done = models.PositiveBigIntegerField(default=0)
    bytes_total = models.PositiveBigIntegerField(default=0)
    wanted_bytes = models.PositiveBigIntegerField(null=True, blank=True)  # while it is resized
    wanted_snapshot = models.UUIDField(null=True, blank=True)  # while it is copied or goes back
    # The machine that it is saved from, by its cloud's name for it; and its own name.
    saved_from = models.CharField(max_length=80, blank=True)
    saved_name = models.CharField(max_length=80, blank=True)
    clean_paths = models.JSONField(default=list, blank=True)  # what a cleaned copy is without
    purge_at = models.DateTimeField(null=True, blank=True)  # in the bin: when it ends for good

    objects: ClassVar[models.Manager["Volume"]] = VolumeQuerySet.as_manager()

    class Meta:
        verbose_name = "disk"
        ordering = ["-pk"]
        indexes = [
            models.Index(
                fields=["next_tick_at"],
                name="volumes_volume_due",
                condition=Q(next_tick_at__isnull=False),
            ),
            models.Index(fields=["owner", "state"], name="volumes_volume_owner"),
            models.Index(fields=["cloud", "state"], name="volumes_volume_cloud"),
            models.Index(
                fields=["purge_at"],
                name="volumes_volume_purge",
                condition=Q(purge_at__isnull=False),
            ),
            # A page of a list is found in its order, and the numbers of its tabs are counted
            # without a look at the rows.
            models.Index(fields=["owner", "-id"], name="volumes_volume_own"),
            models.Index(fields=["visibility", "state", "owner"], name="volumes_volume_open"),
            models.Index(fields=["tag", "id"], name="volumes_volume_by_tag"),
            models.Index(fields=["size_bytes", "-id"], name="volumes_volume_by_size"),
            models.Index(fields=["state", "-id"], name="volumes_volume_by_state"),
            models.Index(fields=["type", "-id"], name="volumes_volume_by_type"),
            models.Index(fields=["visibility", "-id"], name="volumes_volume_by_visibility"),
            models.Index(fields=["identifier", "-id"], name="volumes_volume_by_identifier"),
            models.Index(fields=["-created_at"], name="volumes_volume_by_age"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=VolumeState.values), name="volumes_volume_state"
            ),
            models.UniqueConstraint(fields=["owner", "create_key"], name="volumes_volume_once"),
        ]

    def __str__(self) -> str:
        return self.tag or f"disk {self.token[:8]}"

    def get_absolute_url(self) -> str:
        return reverse("volumes:detail", args=[self.uuid])

    def audience(self) -> tuple[int, ...] | None:
        if self.state not in SEEN_BY_OTHERS:
            return (self.owner_id,)
        if self.visibility == Visibility.PUBLIC:
            return None
        return (self.owner_id, *Share.objects.reached_by(self))

    def move(self, to: str, **more: Any) -> None:
        was = self.state
        super().move(to, **more)  # which tells those who saw it until now
        if to in SEEN_BY_OTHERS and was not in SEEN_BY_OTHERS:
            self.announce()

    def access_of(self, user: Any) -> Access | None:
        """The most that ``user`` may do with it; None: they do not see it.

        An administrator sees and removes every disk, and reads none: as anybody else, they
        need it public or shared to plug it in.
        """
        if user.pk == self.owner_id:
            return Access.OWN
        shared = set(Share.objects.of(self, user).values_list("access", flat=True))
        if Access.WRITE in shared:
            return Access.WRITE
        if shared or self.visibility == Visibility.PUBLIC:
            return Access.READ
        return None

    @property
    def verbs(self) -> frozenset[str]:
        """What its state allows to be asked of it now."""
        return frozenset(verb for verb, states in VOLUME_VERBS.items() if self.state in states)

    @property
    def meaning(self) -> str:
        return VOLUME_MEANINGS[self.state]

    @property
    def current_identifier(self) -> str:
        """Its image identifier, if it still holds the bytes that came in; else ""."""
        return "" if self.written_at else self.identifier

    @property
    def holds_data(self) -> bool:
        """Whether deleting it may lose something: bytes came in, or a machine has had it."""
        return self.origin != Origin.CREATED or self.written_at is not None

    @property
    def known_bytes(self) -> int | None:
        """Its size; None as long as nobody knows it, or for ever if it never came to be."""
        never = self.state in (VolumeState.CLEARING, VolumeState.FAILED)
        comes = self.state in ARRIVING and self.size_bytes <= UNKNOWN_BYTES
        return None if never or comes else self.size_bytes

    @property
    def is_open_image(self) -> bool:
        """Whether everybody here can copy it, to boot machines from the copy."""
        return self.visibility == Visibility.PUBLIC and self.type in MACHINE_IMAGES

    @property
    def is_read_only(self) -> bool:
        return self.type not in WRITABLE


class ShareQuerySet(models.QuerySet["Share"]):
    def to(self, user: Any) -> Self:
        """Those that give ``user`` something, by name or through a group."""
        groups = Membership.objects.filter(user=user).values("group")
        return self.filter(Q(user=user) | Q(group__in=groups))

    def of(self, volume: Volume, user: Any) -> Self:
        return self.to(user).filter(volume=volume)

    def reaching(self, user: Any) -> Any:
        """Ids of the disks that are shared with ``user``: a subquery."""
        return self.to(user).values("volume")

    def reached_by(self, volume: Volume) -> tuple[int, ...]:
        """Ids of the people whom ``volume`` is shared with."""
        rows = self.filter(volume=volume)
        named = rows.filter(user__isnull=False).values_list("user", flat=True)
        members = Membership.objects.filter(group__in=rows.values("group"))
        return tuple({*named, *members.values_list("user", flat=True)})


class Share(models.Model):
    """A disk opened to a person or a group, to read or to write."""

    volume = models.ForeignKey(Volume, models.CASCADE, related_name="shares")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="+"
    )
    group = models.ForeignKey(
        "registration.Group", models.CASCADE, null=True, blank=True, related_name="+"
    )
    access = models.CharField(
        max_length=5,
        choices=[(Access.READ, "Read only"), (Access.WRITE, "Read and write")],
        default=Access.READ,
    )
    since = models.DateTimeField(auto_now_add=True)

    objects = ShareQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(user__isnull=True) ^ Q(group__isnull=True), name="volumes_share_one"
            ),
            models.UniqueConstraint(
                fields=["volume", "user"],
                condition=Q(user__isnull=False),
                name="volumes_share_user",
            ),
            models.UniqueConstraint(
                fields=["volume", "group"],
                condition=Q(group__isnull=False),
                name="volumes_share_group",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.volume} to {self.user or self.group}"
