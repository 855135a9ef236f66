"""When the owner of a batch was told of it, and machines that are slow to answer.

Batches of before count as told of: nobody hears of them now.
"""

import django.utils.timezone
from django.db import migrations, models

STATES = ["idle", "watching", "slow", "ready", "silent"]


class Migration(migrations.Migration):
    dependencies = [("vms", "0014_cluster_nodes")]

    operations = [
        migrations.AddField(
            model_name="batch",
            name="told_at",
            field=models.DateTimeField(
                blank=True, default=django.utils.timezone.now, editable=False, null=True
            ),
        ),
        migrations.AlterField(
            model_name="batch",
            name="told_at",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddIndex(
            model_name="batch",
            index=models.Index(
                condition=models.Q(("told_at", None)), fields=["id"], name="vms_batch_untold"
            ),
        ),
        migrations.RemoveConstraint(model_name="readiness", name="vms_readiness_state"),
        migrations.AlterField(
            model_name="readiness",
            name="state",
            field=models.CharField(
                choices=[(state, state.capitalize()) for state in STATES],
                default="idle",
                max_length=12,
            ),
        ),
        migrations.AddConstraint(
            model_name="readiness",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", STATES)), name="vms_readiness_state"
            ),
        ),
    ]
