"""A disk that begins as another one is, without what should not go to others."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from core.errors import Refused
from registration.models import User
from volumes.actions.beginning import Beginning, begin
from volumes.actions.making import disk_tag
from volumes.asking import alone_with, must
from volumes.models import Access, Origin, Volume
from volumes.states import VolumeState

#: Of one disk at once.
MOST_PATHS = 500


def clean(
    volume: Volume,
    *,
    by: User,
    paths: Mapping[int, Sequence[str]],
    create_key: UUID,
    tag: str = "",
) -> Volume:
    """Make a disk of ``by``'s like this one, without these files, by partition.

    It is CLEANING when this returns; the old one stays as it is. The same ``create_key`` twice is
    one disk.

    Raises:
        Refused: ``not_yours``, ``disk_state``, ``disk_written``, ``nothing_to_clean``,
            ``disk_tag``, ``quota_disk``, ``quota_images``.
    """
    tag = disk_tag(tag or volume.tag)
    known = Volume.objects.filter(owner=by, create_key=create_key)
    if made := known.first():
        return made
    situation = must(volume, "copy", by=by)
    if situation.access != Access.OWN:
        volume.record_denial("clean", by=by)
        raise Refused("not_yours", "Only the owner of a disk makes a cleaned copy of it.")
    wanted = [[part, path] for part, many in paths.items() for path in many]
    if not wanted:
        raise Refused("nothing_to_clean", "Tick what is to be removed.")
    if len(wanted) > MOST_PATHS:
        raise Refused(
            "nothing_to_clean",
            f"These are {len(wanted)} files; {MOST_PATHS} are removed at a time.",
        )
    with alone_with(volume, "copy", by=by) as situation:
        if made := known.first():
            return made
        if refusal := situation.being_written():
            raise refusal
        made = begin(by, _beginning(volume, wanted, create_key, tag))
        volume.record_event("clean", by=by, to=made.token, files=len(wanted))
    return made


def _beginning(volume: Volume, paths: list[list[object]], create_key: UUID, tag: str) -> Beginning:
    return Beginning(
        create_key=create_key,
        state=VolumeState.CLEANING,
        origin=Origin.CLEANED,
        verb="asked",
        size_bytes=volume.size_bytes,
        values={
            "tag": tag,
            "type": volume.type,
            "source": volume,
            "bytes_total": volume.size_bytes,
            "clean_paths": paths,
        },
        told={"copy_of": volume.token, "without": len(paths)},
        cloud=volume.cloud,
    )
