"""Change what is said of a disk, and make it larger."""

from collections.abc import Mapping

from core.errors import Refused
from core.sizes import in_words
from registration.models import GIB, User
from volumes import gates, tasks
from volumes.actions.making import disk_tag
from volumes.asking import Situation, alone_with, must
from volumes.models import (
    LARGEST_GIB,
    PLUGGABLE,
    WRITABLE,
    DiskType,
    Visibility,
    Volume,
)
from volumes.quota import must_fit, must_fit_image
from volumes.states import VolumeState

#: What ``change`` changes, in the order in which forms and the API show it.
CHANGEABLE = ("tag", "visibility", "type")


def change(
    volume: Volume,
    *,
    by: User,
    tag: str | None = None,
    visibility: str | None = None,
    type: str | None = None,
    knows: bool = False,
) -> None:
    """Change a disk's tag, visibility and type; None leaves one as it is.

    A disk that becomes private stays in the machines that have it. ``knows``: see
    ``must_pass_gates``; not in a transaction, unless the gates were asked before it.

    Raises:
        Refused: ``not_yours``, ``disk_state``, ``disk_tag``, ``disk_visibility``, ``disk_type``,
            ``type_in_use``, ``quota_images``, ``disk_changed``, those of the gates.
    """
    given = {"tag": tag, "visibility": visibility, "type": type}
    wanted = {name: value for name, value in given.items() if value is not None}
    if "tag" in wanted:
        wanted["tag"] = disk_tag(wanted["tag"])
    _must_be_one_of(Visibility.values, wanted, "visibility")
    _must_be_one_of(DiskType.values, wanted, "type")
    was_asked = must_pass_gates(volume, wanted, by=by, knows=knows)
    with alone_with(volume, "change", by=by) as situation:
        if gates.opens(volume, wanted):
            if not was_asked:
                raise gates.changed(volume)
            gates.check(volume, by=by, knows=knows)
        before = {name: getattr(volume, name) for name in wanted}
        after = {name: value for name, value in wanted.items() if value != before[name]}
        if not after:
            return
        if "type" in after:
            _must_become(situation, after["type"])
            if after["type"] == DiskType.MACHINE_IMAGE_ORIGIN:
                must_fit_image(volume.owner, field="type")
        volume.announce()  # to whom it was open until now
        Volume.objects.filter(pk=volume.pk).update(**after)
        for name, value in after.items():
            setattr(volume, name, value)
        before = {name: before[name] for name in after}
        volume.record_event("changed", by=by, before=before, after=after)
        volume.announce()


def must_pass_gates(
    volume: Volume, wanted: Mapping[str, str], *, by: User, knows: bool = False
) -> bool:
    """Ask the gates, if with these columns everybody would get a machine image; whether they were.

    ``knows``: its owner has read what was found in it. What must be done before is begun, so not
    in a transaction.

    Raises:
        Refused: ``not_yours``, ``disk_state``, those of the gates.
    """
    if not gates.opens(volume, wanted):
        return False
    must(volume, "change", by=by)
    try:
        gates.ask(volume, by=by, knows=knows)
    except Refused as refused:
        if refused.field == "visibility" and volume.visibility == Visibility.PUBLIC:
            raise Refused(refused.code, str(refused), field="type") from None
        raise
    return True


def _must_be_one_of(known: list[str], wanted: dict[str, str], field: str) -> None:
    if field in wanted and wanted[field] not in known:
        sentence = f"There is no {field} {wanted[field][:40]!r}: choose one of {', '.join(known)}."
        raise Refused(f"disk_{field}", sentence, field=field)


def _must_become(situation: Situation, type_: str) -> None:
    """Raises: Refused: ``type_in_use``: a machine has it in a way that does not go with it."""
    if not situation.holders:
        return
    kind = DiskType(type_).label
    if any(holder.is_root for holder in situation.holders):
        sentence = f"{situation.machines} runs from it: end that machine before you change this."
    elif type_ not in PLUGGABLE:
        sentence = (
            f"{situation.machines} has it, and “{kind}” is never beside a machine's own disk: "
            "detach it first."
        )
    elif situation.writers and type_ not in WRITABLE:
        sentence = f"{situation.machines} may write to it: detach it first, then make it read-only."
    else:
        return
    raise Refused("type_in_use", sentence, field="type")


def grow(volume: Volume, *, by: User, size_gib: int) -> None:
    """Make a disk larger, attached or not. It is GROWING when this returns.

    Raises:
        Refused: ``not_yours``, ``disk_state``, ``disk_offered``, ``snapshot_taking``,
            ``disk_size``, ``quota_disk``.
    """
    if size_gib > LARGEST_GIB:
        sentence = f"A disk has at most {LARGEST_GIB} GiB; this would have {size_gib} GiB."
        raise Refused("disk_size", sentence, field="size_gib")
    size_bytes = size_gib * GIB
    with alone_with(volume, "grow", by=by):
        if size_bytes <= volume.size_bytes:
            raise Refused(
                "disk_size",
                f"It has {in_words(volume.size_bytes)} already, and a disk cannot become "
                "smaller: choose more than that.",
                field="size_gib",
            )
        must_fit(by, size_bytes - volume.size_bytes, field="size_gib")
        volume.move(
            VolumeState.GROWING,
            by=by,
            verb="grow",
            detail={
                "before": {"size_bytes": volume.size_bytes},
                "after": {"size_bytes": size_bytes},
            },
            wanted_bytes=size_bytes,
        )
        tasks.ring_row(volume)
