"""Tell of the lines from before the audit whose thing they are about, and what it is called.

Without it, nobody sees their own past, and no filter by a name finds it. A machine that was
handed over since was somebody else's then: its old lines stay as they are.
"""

from django.db import migrations
from django.db.models import OuterRef, Subquery

from core import audit


def fill_in(apps, schema_editor):
    of = schema_editor.connection
    event, user, vm, readiness = (
        apps.get_model(*name)
        for name in (
            ("core", "Event"), ("registration", "User"), ("vms", "VM"), ("vms", "Readiness"),
        )
    )  # fmt: skip
    audit.release(of)
    _fill_in(event, "account", user.objects.all(), "pk", "username")
    _fill_in(event, "vm", vm.objects.filter(owner_since=None), "owner", "name")
    mine = readiness.objects.filter(vm__owner_since=None)
    _fill_in(event, "readiness", mine, "vm__owner", "vm__name")
    audit.protect(of)


def _fill_in(event, kind, things, owner, name):
    """One statement each; a thing is found by its uuid, which is unique."""
    thing = things.filter(uuid=OuterRef("subject"))
    lines = event.objects.filter(kind=kind, owner=None, subject_name="")
    lines.filter(subject__in=things.values("uuid")).update(
        owner=Subquery(thing.values(owner)[:1]), subject_name=Subquery(thing.values(name)[:1])
    )


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0003_append_only"),
        ("registration", "0012_addresses_of_before"),
        ("vms", "0006_tenures"),
    ]

    operations = [migrations.RunPython(fill_in, migrations.RunPython.noop)]
