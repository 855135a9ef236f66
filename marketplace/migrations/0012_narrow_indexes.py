from django.conf import settings
from django.db import migrations, models

from marketplace.search import index


def mark(apps, schema_editor):
    entries = apps.get_model("marketplace", "Entry").objects
    entries.exclude(deprecated="").update(is_deprecated=True)


def keep_index(apps, schema_editor):
    """SQLite has made the table anew, and forgotten what kept the index of words."""
    index.make(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [
        ("marketplace", "0011_sums_of_what_comes"),
        ("registration", "0012_addresses_of_before"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name="entry",
            name="marketplace_entry_shelf",
        ),
        migrations.RemoveField(model_name="entry", name="is_deprecated"),
        migrations.AddField(
            model_name="entry",
            name="is_deprecated",
            field=models.BooleanField(default=False, editable=False),
        ),
        migrations.RunPython(mark, migrations.RunPython.noop),
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
                    "is_latest",
                    "id",
                ],
                name="marketplace_entry_shelf",
            ),
        ),
        migrations.AddIndex(
            model_name="entry",
            index=models.Index(
                condition=models.Q(("is_latest", True), ("valid_until__isnull", False)),
                fields=[
                    "endorser_email",
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
                    "alternative",
                    "created_at",
                    "owner",
                    "group",
                    "is_latest",
                    "id",
                ],
                name="marketplace_entry_endorsers",
            ),
        ),
        migrations.AddIndex(
            model_name="entry",
            index=models.Index(
                condition=models.Q(("is_latest", True), ("valid_until__isnull", False)),
                fields=[
                    "alternative",
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
                    "created_at",
                    "owner",
                    "group",
                    "is_latest",
                    "id",
                ],
                name="marketplace_entry_tags",
            ),
        ),
        migrations.AddConstraint(
            model_name="entry",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("deprecated", ""), ("is_deprecated", False)),
                    models.Q(("is_deprecated", True), models.Q(("deprecated", ""), _negated=True)),
                    _connector="OR",
                ),
                name="marketplace_entry_deprecated_has_a_reason",
            ),
        ),
        migrations.RunPython(keep_index, migrations.RunPython.noop),
    ]
