from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("marketplace", "0003_latest_words")]

    operations = [
        migrations.RemoveField(
            model_name="entry",
            name="location",
        ),
        migrations.AddConstraint(
            model_name="entry",
            constraint=models.UniqueConstraint(
                condition=models.Q(("is_latest", True)),
                fields=("identifier", "endorser_email"),
                name="marketplace_entry_latest",
            ),
        ),
    ]
