"""The sizes that the site offers."""

import uuid

from django.db import transaction

from core.models import record
from registration.models import User
from vms.models import InstanceType

#: What the audit tells of a size.
_SIZE = ("name", "vcpus", "memory_mib", "swap_mib", "is_offered", "is_default")


@transaction.atomic
def save_type(instance_type: InstanceType, *, by: User) -> None:
    """Add or change a size that the site offers; a new default replaces the old one."""
    known = InstanceType.objects.filter(pk=instance_type.pk).values(*_SIZE).first() or {}
    if instance_type.is_default:
        InstanceType.objects.exclude(pk=instance_type.pk).update(is_default=False)
    instance_type.save()
    now = {name: getattr(instance_type, name) for name in _SIZE}
    changed = [name for name in _SIZE if known.get(name) != now[name]]
    record(
        "instance_type",
        uuid.uuid5(uuid.NAMESPACE_OID, f"type-{instance_type.pk}"),
        "changed" if known else "added",
        by=by,
        label=instance_type.name,
        before={name: known[name] for name in changed if known},
        after={name: now[name] for name in changed},
    )
