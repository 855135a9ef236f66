"""Who may have an image's bytes: entries whose own locations have led to them, and still may."""

from uuid import UUID

from django.db.models import QuerySet

from marketplace import pdisk
from marketplace.models import Draft, Entry, ImageFile
from marketplace.states import DraftState, ImageState
from volumes.models import Volume
from volumes.states import GONE


def is_proven(image: ImageFile, entry: Entry) -> bool:
    """Whether these bytes are there on the word of this entry, or the site has its file."""
    disk = image.proof_disks.get(str(entry.pk))
    return image.is_proven_by(entry) and (not disk or _still_gives(disk, entry))


def proofs(image: ImageFile) -> QuerySet[Entry]:
    """The entries that are good for these bytes now: a right to read a disk can be taken back."""
    by_disk = image.proven_by.filter(pk__in=list(image.proof_disks))
    lapsed = [
        entry.pk for entry in by_disk if not _still_gives(image.proof_disks[str(entry.pk)], entry)
    ]
    return image.proven_by.exclude(pk__in=lapsed)


def disks(image: ImageFile) -> dict[str, str]:
    """``proof_disks`` of a copy that is ready on the word of its entry."""
    if image.state != ImageState.COPYING:
        return dict(image.proof_disks)
    known = {pk: disk for pk, disk in image.proof_disks.items() if pk != str(image.entry_id)}
    disk = None if image.entry.is_kept_here else pdisk.disk_of(image.location)
    return known | ({str(image.entry_id): str(disk)} if disk else {})


def may_read(entry: Entry, volume: Volume) -> bool:
    """Its owner may; or the disk's owner has published the image from this disk, in the name of
    this endorser: the site's, or one who was asked by mail."""
    if entry.owner is not None and volume.access_of(entry.owner) is not None:
        return True
    published = Draft.objects.filter(state=DraftState.PUBLISHED, owner=volume.owner_id)
    return published.filter(
        volume=volume,
        entry__identifier=entry.identifier,
        entry__endorser_email=entry.endorser_email,
        entry__is_official=entry.is_official,
    ).exists()


def _still_gives(disk: str, entry: Entry) -> bool:
    """One that its owner has deleted gave its bytes by right; shares of it are over."""
    volume = Volume.objects.filter(uuid=UUID(disk)).first()
    if volume is None:
        return False
    if volume.state in GONE and entry.owner_id is not None:
        return volume.owner_id == entry.owner_id
    return may_read(entry, volume)
