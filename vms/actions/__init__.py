"""What a person may ask of machines. Nothing here knows that clouds exist."""

from vms.actions.asking import VERBS, ask_many, kill, reboot, shut_down, start
from vms.actions.batches import MOST_MACHINES, RowsRefused, launch_many
from vms.actions.giving import hand_over
from vms.actions.images import Candidate, ImageNews, candidates, image_news
from vms.actions.launching import (
    MOST_VOLATILE,
    Order,
    launch,
    too_large,
    too_small,
    too_volatile,
)
from vms.actions.sizes import save_type
from vms.quota import Use, disk_use, machine_use, over_quota, quota_use

__all__ = [
    "MOST_MACHINES",
    "MOST_VOLATILE",
    "VERBS",
    "Candidate",
    "ImageNews",
    "Order",
    "RowsRefused",
    "Use",
    "ask_many",
    "candidates",
    "disk_use",
    "hand_over",
    "image_news",
    "kill",
    "launch",
    "launch_many",
    "machine_use",
    "over_quota",
    "quota_use",
    "reboot",
    "save_type",
    "shut_down",
    "start",
    "too_large",
    "too_small",
    "too_volatile",
]  # fmt: skip
