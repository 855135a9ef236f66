from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("marketplace", "0018_figures_of_imports")]

    operations = [
        migrations.AddIndex(
            "entry",
            models.Index(
                condition=models.Q(("is_latest", True), ("valid_until__isnull", False)),
                fields=[
                    "-is_official", "-created_at", "-id", "os", "os_version", "os_arch", "kind",
                    "is_on_web", "is_on_pdisk", "is_deprecated", "valid_until", "visibility",
                    "endorser_email", "alternative", "owner", "group", "is_latest",
                ],
                name="marketplace_entry_best",
            ),
        ),
    ]  # fmt: skip
