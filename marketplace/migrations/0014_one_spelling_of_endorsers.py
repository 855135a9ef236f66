"""One endorser has one spelling, and what was launched is known by its entry."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models.functions import Lower


def one_spelling(apps, schema_editor):
    """The last word of all spellings is the last one; two of one second keep theirs."""
    Entry = apps.get_model("marketplace", "Entry")
    lower = Lower("endorser_email")
    for entry in Entry.objects.exclude(endorser_email=lower).order_by("pk"):
        address = entry.endorser_email.lower()
        same = Entry.objects.filter(identifier=entry.identifier, endorser_email=address)
        if same.filter(created_at=entry.created_at).exists():
            continue
        if entry.is_latest:
            last = same.filter(is_latest=True).first()
            if last is not None and last.created_at > entry.created_at:
                Entry.objects.filter(pk=entry.pk).update(is_latest=False)
            elif last is not None:
                same.filter(is_latest=True).update(is_latest=False)
        Entry.objects.filter(pk=entry.pk).update(endorser_email=address)


def know_entries(apps, schema_editor):
    """Who launched by which entry was not noted: the one that most would have seen."""
    Entry = apps.get_model("marketplace", "Entry")
    for name in ("Use", "TestedSize"):
        rows = apps.get_model("marketplace", name).objects.all()
        for identifier in rows.values_list("identifier", flat=True).distinct():
            said = Entry.objects.filter(identifier=identifier)
            public = said.filter(visibility="public")
            entry = public.order_by("-is_official", "-created_at").first() or said.first()
            some = rows.filter(identifier=identifier)
            some.update(entry=entry) if entry else some.delete()


def nothing(apps, schema_editor):
    pass


class Migration(migrations.Migration):
    dependencies = [
        ("marketplace", "0013_index_beside_the_entries"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RunPython(one_spelling, nothing),
        migrations.AddField(
            "use", "entry",
            models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.CASCADE, related_name="uses",
                to="marketplace.entry",
            ),
        ),
        migrations.AddField(
            "testedsize", "entry",
            models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.CASCADE,
                related_name="tested_sizes", to="marketplace.entry",
            ),
        ),
        migrations.RunPython(know_entries, nothing),
    ]  # fmt: skip
