"""Know people of the directory by its own ids, and whom no rule lets in."""

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

REFUSED = (("rejected", "applied"), ("rejected", "confirmed"), ("active", "confirmed"))


def keep_rejections(apps, schema_editor):
    """Requests that were refused before and wait again; a rejection that was undone is none."""
    rejections = apps.get_model("registration", "Rejection").objects
    people = apps.get_model("registration", "User").objects.filter(
        state__in=["applied", "confirmed", "rejected", "withdrawn"]
    )
    known = {user.uuid: user for user in people.only("uuid", "username", "email")}
    moves = apps.get_model("core", "Event").objects.filter(kind="account", verb="moved")
    moves = moves.filter(was__in=["rejected", "active"])
    for event in moves.order_by("pk").iterator():
        user = known.get(event.subject)
        is_refusal = (event.was, event.now) in REFUSED and event.detail.get("undone") != "rejected"
        if user and is_refusal:
            said = event.detail.get("before") or {}
            rejections.get_or_create(
                user=user,
                username=said.get("username", user.username).lower(),
                email=said.get("email", user.email).lower(),
            )


class Migration(migrations.Migration):
    dependencies = [
        ("registration", "0010_first_policies"),
        ("core", "0003_append_only"),
    ]

    operations = [
        migrations.AddField(
            model_name="user",
            name="source_id",
            field=models.CharField(blank=True, editable=False, max_length=500),
        ),
        migrations.AddConstraint(
            model_name="user",
            constraint=models.UniqueConstraint(
                condition=models.Q(("source_id", ""), _negated=True),
                fields=("source", "source_id"),
                name="registration_user_source_id",
            ),
        ),
        migrations.CreateModel(
            name="Rejection",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("username", models.CharField(db_index=True, max_length=20)),
                ("email", models.EmailField(db_index=True, max_length=254)),
                ("at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="rejections",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={"ordering": ["pk"]},
        ),
        migrations.AddConstraint(
            model_name="rejection",
            constraint=models.UniqueConstraint(
                fields=("user", "username", "email"), name="registration_rejection_once"
            ),
        ),
        migrations.RunPython(keep_rejections, migrations.RunPython.noop),
    ]
