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
    release,
    settle_uses,
    standings,
    too_many,
    wrong_place,
)
from volumes.actions.making import (
    VERBS,
    ask_many,
    cancel,
    create,
    delete,
    dismiss,
    must_be_a_tag,
    purge,
    recover,
)

__all__: list[str] = [
    "MOST_DISKS", "VERBS", "Standing", "ask_many", "attach", "cancel", "create", "delete",
    "detach", "dismiss", "holder_name", "may_detach", "must_be_a_tag", "obstacle", "plan",
    "purge", "recover", "release", "settle_uses", "standings", "too_many", "wrong_place",
]  # fmt: skip
