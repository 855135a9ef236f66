from django.db import migrations

from marketplace.search import index


def make(apps, schema_editor):
    """In PostgreSQL the index of words was a column of the entries."""
    index.make(schema_editor.connection)
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("ALTER TABLE marketplace_entry DROP COLUMN IF EXISTS found_by")


class Migration(migrations.Migration):
    dependencies = [("marketplace", "0012_narrow_indexes")]

    operations = [migrations.RunPython(make, migrations.RunPython.noop)]
