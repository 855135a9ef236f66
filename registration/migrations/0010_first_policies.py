"""Keep the shipped policies as this site's first version, as people agree to them.

What a later release ships would otherwise be what they agreed to, unread.
"""

from django.db import migrations

from registration.policy_text import TEXT


def keep(apps, schema_editor):
    policies = apps.get_model("registration", "Policy").objects
    if not policies.exists():
        policies.create(version=1, text=TEXT)


class Migration(migrations.Migration):
    dependencies = [("registration", "0009_outgoing_mails")]

    operations = [migrations.RunPython(keep, migrations.RunPython.noop)]
