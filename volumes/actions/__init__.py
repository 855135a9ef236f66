"""What a person may ask of disks. Nothing here knows that clouds exist."""

from volumes.actions.attachments import (
    MOST_DISKS,
    Standing,
    attach,
    detach,
    holder_name,
    may_detach,
    obstacle,
    plan,
    standings,
    too_many,
)

__all__: list[str] = [
    "MOST_DISKS", "Standing", "attach", "detach", "holder_name", "may_detach", "obstacle", "plan",
    "standings", "too_many",
]  # fmt: skip
