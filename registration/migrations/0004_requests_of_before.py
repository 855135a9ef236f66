"""Requests made before addresses were confirmed wait for an administrator, as they did."""

from django.db import migrations
from django.db.models import F


def carry_over(apps, schema_editor):
    User = apps.get_model("registration", "User")
    User.objects.filter(state="applied").update(state="confirmed")
    User.objects.update(asked_at=F("created_at"), policy_version=1)


class Migration(migrations.Migration):
    dependencies = [("registration", "0003_accounts_whole_life")]

    operations = [migrations.RunPython(carry_over, migrations.RunPython.noop)]
