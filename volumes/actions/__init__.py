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
from volumes.actions.changes import CHANGEABLE, change, grow, must_pass_gates
from volumes.actions.cleaning import clean
from volumes.actions.copies import copy
from volumes.actions.downloads import LIVE, ask_download, remove_download
from volumes.actions.fetches import fetch
from volumes.actions.making import (
    VERBS,
    abandon,
    ask_many,
    cancel,
    create,
    delete,
    disk_tag,
    dismiss,
    purge,
    recover,
)
from volumes.actions.offers import (
    accept_offer,
    bytes_with_snapshots,
    decline_offer,
    give,
    offer,
    withdraw_offer,
)
from volumes.actions.saving import begin_saving, tag_of
from volumes.actions.sharing import change_share, share, stop_sharing
from volumes.actions.snapshots import (
    MOST_SNAPSHOTS,
    delete_snapshot,
    restore_snapshot,
    take_snapshot,
)
from volumes.actions.uploads import Parcel, begin_upload

__all__: list[str] = [
    "CHANGEABLE",
    "LIVE",
    "MOST_DISKS",
    "MOST_SNAPSHOTS",
    "VERBS",
    "Parcel",
    "Standing",
    "abandon",
    "accept_offer",
    "ask_download",
    "ask_many",
    "attach",
    "begin_saving",
    "begin_upload",
    "bytes_with_snapshots",
    "cancel",
    "change",
    "change_share",
    "clean",
    "copy",
    "create",
    "decline_offer",
    "delete",
    "delete_snapshot",
    "detach",
    "disk_tag",
    "dismiss",
    "fetch",
    "give",
    "grow",
    "holder_name",
    "may_detach",
    "must_pass_gates",
    "obstacle",
    "offer",
    "plan",
    "purge",
    "recover",
    "release",
    "remove_download",
    "restore_snapshot",
    "settle_uses",
    "share",
    "standings",
    "stop_sharing",
    "tag_of",
    "take_snapshot",
    "too_many",
    "withdraw_offer",
    "wrong_place",
]
