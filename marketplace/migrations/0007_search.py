from django.conf import settings
from django.db import migrations, models

from marketplace.search import tokens


def say_words_anew(apps, schema_editor):
    """The words of older entries were one text."""
    for entry in apps.get_model("marketplace", "Entry").objects.order_by("pk").iterator():
        entry.words = tokens.indexed(entry)
        entry.save(update_fields=["words"])


class Migration(migrations.Migration):
    dependencies = [
        ("marketplace", "0006_waiting_arrivals"),
        ("registration", "0012_addresses_of_before"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Learned",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("upto", models.PositiveBigIntegerField(default=0)),
                ("entries", models.PositiveIntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            name="Word",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("word", models.CharField(max_length=30, unique=True)),
                ("length", models.PositiveSmallIntegerField(db_index=True)),
                ("entries", models.PositiveIntegerField(default=0)),
            ],
        ),
        migrations.AddField(
            model_name="entry",
            name="is_deprecated",
            field=models.GeneratedField(
                db_persist=True,
                expression=models.Case(
                    models.When(deprecated="", then=models.Value(False)), default=models.Value(True)
                ),
                output_field=models.BooleanField(),
            ),
        ),
        migrations.AddIndex(
            model_name="entry",
            index=models.Index(
                condition=models.Q(("is_latest", True), ("valid_until__isnull", False)),
                fields=[
                    "os",
                    "os_version",
                    "os_arch",
                    "kind",
                    "is_on_web",
                    "is_on_pdisk",
                    "is_official",
                    "is_deprecated",
                    "valid_until",
                    "visibility",
                    "endorser_email",
                    "alternative",
                    "created_at",
                    "owner",
                    "group",
                    "id",
                ],
                name="marketplace_entry_shelf",
            ),
        ),
        migrations.RunPython(say_words_anew, migrations.RunPython.noop),
    ]
