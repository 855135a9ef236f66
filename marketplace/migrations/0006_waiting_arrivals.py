import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("marketplace", "0005_provisional_identifiers"),
    ]

    operations = [
        migrations.AddField(
            model_name="documentarrival",
            name="pending",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="marketplace.pending",
            ),
        ),
    ]
