"""What a person may ask of machines. Nothing here knows that clouds exist."""

from vms.actions.asking import VERBS, ask_many, kill, reboot, shut_down, start
from vms.actions.backups import Disks, back_up, copy_backup, delete_backup
from vms.actions.batches import MOST_MACHINES, LeftOut, RowsRefused, alike, launch_many
from vms.actions.building import (
    BuildOrder,
    build,
    cancel_build,
    may_cancel,
    may_save,
    save_build,
)
from vms.actions.clusters import MOST_NODES, ClusterOrder, kill_cluster, launch_cluster
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
from vms.actions.leases import extend, first_lease, longest, set_lease
from vms.actions.networks import attach_nic, create_network, delete_network, detach_nic
from vms.actions.recipes import delete_recipe, save_recipe
from vms.actions.saving import Image, check_image, drop_saving, plan_saving, save, shut_down_to_save
from vms.actions.sizes import MOST_OWN_SIZES, delete_own_type, save_own_type, save_type
from vms.quota import Use, disk_use, machine_use, over_quota, quota_use

__all__ = [
    "MOST_MACHINES",
    "MOST_NODES",
    "MOST_OWN_SIZES",
    "MOST_VOLATILE",
    "VERBS",
    "BuildOrder",
    "Candidate",
    "ClusterOrder",
    "Disks",
    "Image",
    "ImageNews",
    "LeftOut",
    "Order",
    "RowsRefused",
    "Use",
    "alike",
    "ask_many",
    "attach_nic",
    "back_up",
    "build",
    "cancel_build",
    "candidates",
    "check_image",
    "copy_backup",
    "create_network",
    "delete_backup",
    "delete_network",
    "delete_own_type",
    "delete_recipe",
    "detach_nic",
    "disk_use",
    "drop_saving",
    "extend",
    "first_lease",
    "hand_over",
    "image_news",
    "kill",
    "kill_cluster",
    "launch",
    "launch_cluster",
    "launch_many",
    "longest",
    "machine_use",
    "may_cancel",
    "may_save",
    "over_quota",
    "plan_saving",
    "quota_use",
    "reboot",
    "save",
    "save_build",
    "save_own_type",
    "save_recipe",
    "save_type",
    "set_lease",
    "shut_down",
    "shut_down_to_save",
    "start",
    "too_large",
    "too_small",
    "too_volatile",
]  # fmt: skip
