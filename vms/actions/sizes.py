"""Sizes of machines: the site's, and people's own."""

import uuid
from typing import Any

from django.db import transaction

from core.errors import Refused
from core.models import record
from registration.models import User
from vms.models import InstanceType
from vms.quota import machine_use, too_large_for

#: What the audit tells of a size.
_SIZE = ("name", "vcpus", "memory_mib", "swap_mib", "is_offered", "is_default")
#: Of one person's own.
MOST_OWN_SIZES = 50


@transaction.atomic
def save_type(instance_type: InstanceType, *, by: User) -> None:
    """Add or change a size that the site offers; a new default replaces the old one."""
    known = InstanceType.objects.filter(pk=instance_type.pk).values(*_SIZE).first() or {}
    if instance_type.is_default:
        InstanceType.objects.exclude(pk=instance_type.pk).update(is_default=False)
    instance_type.save()
    _record(instance_type, known, by)


@transaction.atomic
def save_own_type(instance_type: InstanceType, *, owner: User) -> None:
    """Add or change a size of a person's own.

    Raises:
        Refused: ``size_taken``, ``too_many_sizes``, ``size_over_quota``.
    """
    owner = User.objects.select_for_update(no_key=True).get(pk=owner.pk)
    own = InstanceType.objects.filter(owner=owner)
    others = own.exclude(pk=instance_type.pk)
    if others.filter(name=instance_type.name).exists():
        sentence = f"You have a size {instance_type.name} already. Choose another name."
        raise Refused("size_taken", sentence, field="name")
    if instance_type.pk is None and own.count() >= MOST_OWN_SIZES:
        sentence = f"You have {MOST_OWN_SIZES} sizes of your own, the most. Delete one first."
        raise Refused("too_many_sizes", sentence)
    if refusal := too_large_for(machine_use(owner), instance_type):
        raise refusal
    known = own.filter(pk=instance_type.pk).values(*_SIZE).first() or {}
    instance_type.owner, instance_type.is_offered = owner, True
    instance_type.is_default = False
    instance_type.save()
    _record(instance_type, known, owner)


@transaction.atomic
def delete_own_type(instance_type: InstanceType, *, by: User) -> None:
    """Forget a size of one's own; machines keep what they copied.

    Raises: Refused: ``not_yours``.
    """
    if instance_type.owner_id != by.pk:
        raise Refused("not_yours", f"{instance_type} is no size of your own.")
    record("instance_type", _uuid_of(instance_type), "removed", by=by, owner=by.pk,
           label=instance_type.name)  # fmt: skip
    InstanceType.objects.filter(pk=instance_type.pk).delete()


def _uuid_of(instance_type: InstanceType) -> uuid.UUID:
    return uuid.uuid5(uuid.NAMESPACE_OID, f"type-{instance_type.pk}")


def _record(instance_type: InstanceType, known: dict[str, Any], by: User) -> None:
    now = {name: getattr(instance_type, name) for name in _SIZE}
    changed = [name for name in _SIZE if known.get(name) != now[name]]
    record(
        "instance_type",
        _uuid_of(instance_type),
        "changed" if known else "added",
        by=by,
        owner=instance_type.owner_id,
        label=instance_type.name,
        before={name: known[name] for name in changed if known},
        after={name: now[name] for name in changed},
    )
