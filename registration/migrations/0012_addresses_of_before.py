"""Whom an administrator let in before addresses were confirmed has an address that counts.

The administrator vouched for it; without this, an invitation to it would not be shown to them.
"""

from django.db import migrations
from django.db.models import F


def vouch(apps, schema_editor):
    people = apps.get_model("registration", "User").objects
    before = people.filter(state__in=["active", "suspended"], email_confirmed_at=None, source="")
    before.update(email_confirmed_at=F("created_at"))


class Migration(migrations.Migration):
    dependencies = [("registration", "0011_directory_ids_and_rejections")]

    operations = [migrations.RunPython(vouch, migrations.RunPython.noop)]
