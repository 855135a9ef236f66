"""Reasons for rejections to begin with; administrators reword them."""

import uuid

from django.db import migrations

REASONS = {
    "Not one of us": "This cloud is for members of our institute and their partners.",
    "Who are you?": (
        "We could not tell who you are. Please apply again with the e-mail address of your "
        "institute, and write in which group you work."
    ),
    "What for?": "Please apply again and write in a few sentences what you want to run.",
    "Has an account": (
        "You have an account here already. If you have forgotten its password, ask for a new "
        "one on the sign-in page."
    ),
    "Against the policies": "What you want to run is not allowed by our policies.",
}


def add(apps, schema_editor):
    template = apps.get_model("registration", "ReasonTemplate")
    if template.objects.exists():
        return
    for title, text in REASONS.items():
        template.objects.create(uuid=uuid.uuid4(), title=title, text=text)


class Migration(migrations.Migration):
    dependencies = [("registration", "0006_use_of_keys")]

    operations = [migrations.RunPython(add, migrations.RunPython.noop)]
