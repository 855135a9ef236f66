"""What was launched is known by its entry alone."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("marketplace", "0014_one_spelling_of_endorsers"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveConstraint("use", "marketplace_use_once"),
        migrations.RemoveConstraint("testedsize", "marketplace_tested_once"),
        migrations.RemoveField("use", "identifier"),
        migrations.RemoveField("testedsize", "identifier"),
        migrations.AlterField(
            "use", "entry",
            models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="uses",
                to="marketplace.entry",
            ),
        ),
        migrations.AlterField(
            "testedsize", "entry",
            models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="tested_sizes",
                to="marketplace.entry",
            ),
        ),
        migrations.AddConstraint(
            "use",
            models.UniqueConstraint(fields=["entry", "user"], name="marketplace_use_of_entry_once"),
        ),
        migrations.AddConstraint(
            "testedsize",
            models.UniqueConstraint(
                fields=["entry", "size", "vcpus", "memory_mib"],
                name="marketplace_entry_tested_once",
            ),
        ),
    ]  # fmt: skip
