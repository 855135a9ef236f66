"""When a machine was given the end it has: how long before it is told depends on that."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("vms", "0010_build_pieces")]

    operations = [
        migrations.AddField(
            model_name="vm",
            name="lease_since",
            field=models.DateTimeField(blank=True, null=True),
        ),
    ]
