import django.db.models.deletion
from django.db import migrations, models

STATES = [
    ("waiting", "Waiting for the endorser"),
    ("confirmed", "Confirmed"),
    ("refused", "Refused by the endorser"),
    ("reported", "Reported as abuse"),
    ("lapsed", "Not confirmed in time"),
    ("withdrawn", "Withdrawn by its sender"),
]


def keep_for_the_site(apps, schema_editor):
    """What others said after the site opened its files to the readers of theirs."""
    entries = apps.get_model("marketplace", "Entry").objects
    entries.filter(is_kept_here=True, is_official=False).exclude(owner=None).update(
        is_kept_here=False
    )


class Migration(migrations.Migration):
    dependencies = [("marketplace", "0016_whose_fetch_it_is")]

    operations = [
        migrations.RunPython(keep_for_the_site, migrations.RunPython.noop),
        migrations.AddField(
            model_name="entry",
            name="said_again_of",
            field=models.ForeignKey(
                blank=True,
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="marketplace.entry",
            ),
        ),
        migrations.AddField(
            model_name="draft",
            name="doubt",
            field=models.CharField(blank=True, max_length=300),
        ),
        migrations.AddField(
            model_name="draft",
            name="pending",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="drafts",
                to="marketplace.pending",
            ),
        ),
        migrations.RemoveConstraint(model_name="pending", name="marketplace_pending_state"),
        migrations.AlterField(
            model_name="pending",
            name="state",
            field=models.CharField(choices=STATES, default="waiting", max_length=10),
        ),
        migrations.AddConstraint(
            model_name="pending",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", [state for state, _ in STATES])),
                name="marketplace_pending_state",
            ),
        ),
    ]
