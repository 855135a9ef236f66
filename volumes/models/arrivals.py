"""How the bytes of a disk came in: a file from somebody's computer, or from an address."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from cloud.types import DiskFormat
from volumes.models.disks import Volume


class Packing(models.TextChoices):
    NONE = "", "not packed"
    GZIP = "gzip", "gzip"
    BZIP2 = "bzip2", "bzip2"
    XZ = "xz", "xz"
    ZSTD = "zstd", "zstd"


class Arrival(models.Model):
    """The file that becomes a disk. It lies under a name of ours until it is one.

    ``length`` is the file's size as it was announced, or what the server said (None: it did
    not say); how much of it is there is the size of the landed file, and ``Volume.bytes_done``
    now and then.
    """

    volume = models.OneToOneField(Volume, models.CASCADE, related_name="arrival")
    file_name = models.CharField(max_length=255, blank=True)  # as the sender calls it; shown only
    length = models.PositiveBigIntegerField(null=True, blank=True)
    url = models.URLField(max_length=2000, blank=True)
    validator = models.CharField(max_length=300, blank=True)  # ETag or date of what is fetched
    # What the sender says it must be; blank: not said.
    expected_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    expected_sha1 = models.CharField(max_length=40, blank=True)
    expected_sha256 = models.CharField(max_length=64, blank=True)
    # What the inspection found.
    packing = models.CharField(max_length=5, choices=Packing, blank=True, default=Packing.NONE)
    format = models.CharField(
        max_length=5, choices=[(kind.value, kind.name) for kind in DiskFormat], blank=True
    )
    label = models.CharField(max_length=64, blank=True)  # of an ISO 9660 or other file system
    last_at = models.DateTimeField(default=timezone.now)  # when bytes came last
    # When an upload that nobody goes on with is given up.
    expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["expires_at"],
                name="volumes_arrival_expires",
                condition=Q(expires_at__isnull=False),
            )
        ]

    def __str__(self) -> str:
        return f"{self.volume}: {self.file_name or self.url}"
