"""What the plot of a disk draws: bytes that machines read from it and wrote to it."""

from collections.abc import Iterable

from registration.models import User
from volumes.models import Attachment, Volume, VolumeSample

Column = list[float | int | None]


def series(volume: Volume, user: User) -> dict[str, Column]:
    """Rates of a disk, oldest first: ``at`` in epoch seconds, the rest bytes per second.

    Of machines that ``user`` may know of, added up. Between two times that machines had it is
    a gap (None), as is what cannot be told.
    """
    plugs = Attachment.objects.filter(volume=volume).visible_to(user)
    samples = VolumeSample.objects.filter(attachment__in=plugs).order_by("attachment", "at")
    rates: dict[int, tuple[float, float]] = {}
    gaps: set[int] = set()
    for at, read, written in _steps(samples.iterator()):
        if read is None or written is None:
            gaps.add(at)
        else:
            before = rates.get(at, (0.0, 0.0))
            rates[at] = (before[0] + read, before[1] + written)
    out: dict[str, Column] = {"at": [], "disk_read_bps": [], "disk_write_bps": []}
    for at in sorted(rates.keys() | gaps):
        known = rates.get(at)
        out["at"].append(at)
        out["disk_read_bps"].append(known[0] if known else None)
        out["disk_write_bps"].append(known[1] if known else None)
    return out


def _steps(
    samples: Iterable[VolumeSample],
) -> Iterable[tuple[int, float | None, float | None]]:
    """What happened between each two neighbouring samples of one attachment."""
    before: VolumeSample | None = None
    for now in samples:
        at = int(now.at.timestamp())
        if before is None or before.attachment_id != now.attachment_id:
            yield at, None, None  # it has just come in
        else:
            span_s = (now.at - before.at).total_seconds()
            yield (
                at,
                _rate(before.read_bytes, now.read_bytes, span_s),
                _rate(before.write_bytes, now.write_bytes, span_s),
            )
        before = now


def _rate(was: int, now: int, span_s: float) -> float | None:
    return (now - was) / span_s if now >= was and span_s > 0 else None
