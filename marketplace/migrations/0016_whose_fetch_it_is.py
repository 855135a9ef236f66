"""Whose fetch it is, and which disks have proven an entry's word."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("marketplace", "0015_uses_of_entries"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            "imagefile",
            "asked_by",
            models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField("imagefile", "handed_at", models.DateTimeField(blank=True, null=True)),
        migrations.AddField("imagefile", "proof_disks", models.JSONField(blank=True, default=dict)),
    ]
