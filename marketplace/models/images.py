"""The checked copies of images inside clouds."""

from datetime import timedelta
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from core.machine import Stateful
from marketplace.models.entries import Entry
from marketplace.states import (
    IMAGE_DEADLINES,
    IMAGE_MEANINGS,
    IMAGE_MOVES,
    IN_LINE,
    KEPT,
    ON_ITS_WAY,
    ImageState,
)

#: A rate over less than this says little.
_TELLING_S = 2.0


class ImageFileQuerySet(models.QuerySet["ImageFile"]):
    def visible_to(self, user: Any) -> Self:
        """Whoever may see the entry may see how far its copy is."""
        if not user.is_authenticated:
            return self.none()
        return self if user.is_staff else self.filter(entry__in=Entry.objects.visible_to(user))


class ImageFile(Stateful):
    """The checked copy of an image inside one cloud, shared by all machines made from it."""

    KIND = "image"
    MOVES = IMAGE_MOVES
    DEADLINES = IMAGE_DEADLINES

    state = models.CharField(max_length=10, choices=ImageState, default=ImageState.WANTED)
    cloud = models.CharField(max_length=40)
    identifier = models.CharField(max_length=27)
    # Whose words about the bytes are believed, and where they come from.
    entry = models.ForeignKey(Entry, models.PROTECT, related_name="files")
    ref = models.CharField(max_length=200, blank=True)  # the cloud's name for it
    bytes_done = models.PositiveBigIntegerField(default=0)
    bytes_total = models.PositiveBigIntegerField(default=0)
    virtual_size_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    # What was found of the bytes that the cloud keeps: an entry that says otherwise of them is
    # refused, whoever brought them. By the names of ``hashlib``.
    sums = models.JSONField(default=dict, blank=True)
    size_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    kept_bytes = models.PositiveBigIntegerField(default=0)  # what the cloud keeps of it
    # Entries whose own locations led to these bytes: others must prove that they do, so that
    # nobody reads a private image by naming its checksums.
    proven_by = models.ManyToManyField(Entry, related_name="+", blank=True)
    # While it arrives: where from, which version of the file, and how it is packed.
    location = models.CharField(max_length=500, blank=True)
    validator = models.CharField(max_length=300, blank=True)
    came_sums = models.JSONField(default=dict, blank=True)  # of those that come now
    came_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    packing = models.CharField(max_length=10, blank=True)
    file_format = models.CharField(max_length=10, blank=True)
    file_sha256 = models.CharField(max_length=64, blank=True)  # of what the cloud is given
    failing_since = models.DateTimeField(null=True, blank=True)  # its server, now
    failures = models.JSONField(default=list, blank=True)  # [location, sentence] of this try
    used_at = models.DateTimeField(null=True, blank=True)  # a launch needed it last
    # Whose wish it is: one person's fetches leave room for those of others.
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    handed_at = models.DateTimeField(null=True, blank=True)  # from a slow entry to another
    # Of entries that a disk of this site has proven: which. The right to read it may end.
    proof_disks = models.JSONField(default=dict, blank=True)  # {pk of the entry: uuid}
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ImageFileQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(
                fields=["next_tick_at"],
                name="marketplace_image_due",
                condition=Q(next_tick_at__isnull=False),
            )
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=ImageState.values), name="marketplace_image_state"
            ),
            models.UniqueConstraint(
                fields=["cloud", "identifier"], name="marketplace_image_once_per_cloud"
            ),
        ]

    def audience(self) -> None:
        """Everybody may know how far the copy of an image is."""

    def __str__(self) -> str:
        return f"{self.identifier} in {self.cloud}"

    def is_proven_by(self, entry: Entry) -> bool:
        """Whether this entry's own locations have led to these bytes, or the site has them."""
        return entry.is_kept_here or self.proven_by.filter(pk=entry.pk).exists()

    @property
    def is_kept(self) -> bool:
        """Whether the cloud has a copy, be it that another entry is being proven meanwhile."""
        return bool(self.ref) and self.state in KEPT

    @property
    def is_in_line(self) -> bool:
        """Whether it waits until there is room for one more step of its kind."""
        return self.is_moving and self.reason.startswith(IN_LINE)

    @property
    def is_on_its_way(self) -> bool:
        return self.state in ON_ITS_WAY

    @property
    def percent(self) -> int:
        """How far its copying is, 0 to 100."""
        return min(100, self.bytes_done * 100 // self.bytes_total) if self.bytes_total else 0

    @property
    def rate_bytes_s(self) -> float:
        """How fast its bytes move, on average since they began to; 0: nobody knows yet."""
        spent_s = (timezone.now() - self.state_since).total_seconds()
        return self.bytes_done / spent_s if self.is_moving and spent_s >= _TELLING_S else 0.0

    @property
    def time_left(self) -> timedelta | None:
        """Until the last byte, at that rate."""
        left_bytes, rate = self.bytes_total - self.bytes_done, self.rate_bytes_s
        return timedelta(seconds=left_bytes / rate) if rate and left_bytes > 0 else None

    @property
    def meaning(self) -> str:
        return IMAGE_MEANINGS[str(self.state)]


class ImageFailure(models.Model):
    """Why an image could not be brought to a cloud on the word of one entry, the last time.

    The copy may be there, or on its way, on the word of another.
    """

    image = models.ForeignKey(ImageFile, models.CASCADE, related_name="refused")
    entry = models.ForeignKey(Entry, models.CASCADE, related_name="+")
    failed_at = models.DateTimeField()
    reason = models.CharField(max_length=500)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["image", "entry"], name="marketplace_image_failure_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.image_id} by {self.entry_id}: {self.reason}"
