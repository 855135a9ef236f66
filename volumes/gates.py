"""Who is asked before everybody gets a machine image that is a disk.

Nothing here knows of reports or of a catalogue: who does, above, registers a gate.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.module_loading import import_string

from core.errors import Refused
from registration.models import User
from volumes.models import MACHINE_IMAGES, Visibility, Volume


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Functions by their paths, for what is there when they are needed.

    ``ask(volume, by, knows)`` raises ``Refused``, and may begin what must be done before: call it
    outside of the transaction that is given up with the refusal. ``check``: the same, but it
    begins nothing. ``knows``: who asks has read ``to_read(volume)``, a sentence, or "" if there is
    nothing to be read. ``way(user)``: how somebody may get an image of theirs to everybody, as a
    sentence, where its disk is not made public; "" where it may be.
    """

    ask: str
    check: str
    to_read: str
    way: str


_known: dict[str, Gate] = {}


def register(name: str, gate: Gate) -> None:
    """Have somebody asked. Called once, from the app's ``ready``."""
    _known[name] = gate


def opens(volume: Volume, wanted: Mapping[str, str]) -> bool:
    """Whether it becomes everybody's machine image with these columns, and is not yet."""
    visibility = wanted.get("visibility", volume.visibility)
    type_ = wanted.get("type", volume.type)
    return is_open_image(visibility, type_) and not volume.is_open_image


def is_open_image(visibility: str, type_: str) -> bool:
    return visibility == Visibility.PUBLIC and type_ in MACHINE_IMAGES


def ask(volume: Volume, *, by: User, knows: bool) -> None:
    """Raises: Refused: a gate's."""
    for gate in _known.values():
        import_string(gate.ask)(volume, by, knows)


def check(volume: Volume, *, by: User, knows: bool) -> None:
    """Once more, with the row locked: as it was when it was asked about?

    Raises: Refused: ``disk_changed``.
    """
    try:
        for gate in _known.values():
            import_string(gate.check)(volume, by, knows)
    except Refused:
        raise changed(volume) from None


def changed(volume: Volume) -> Refused:
    return Refused(
        "disk_changed", f"{volume} has changed meanwhile. Look at it again, and then decide."
    )


def to_read(volume: Volume) -> str:
    """What its owner must have read before everybody has it, or ""."""
    found = (import_string(gate.to_read)(volume) for gate in _known.values())
    return " ".join(filter(None, found))


def way(user: User) -> str:
    """How this person gets an image to everybody, if not by making its disk public; or ""."""
    return " ".join(filter(None, (import_string(gate.way)(user) for gate in _known.values())))
