from django.db import migrations

from marketplace.search import index


def make(apps, schema_editor):
    index.make(schema_editor.connection)


def drop(apps, schema_editor):
    index.drop(schema_editor.connection)


class Migration(migrations.Migration):
    """Apart from what changes rows: PostgreSQL alters no table that has rows to check."""

    dependencies = [("marketplace", "0007_search")]

    operations = [migrations.RunPython(make, drop)]
