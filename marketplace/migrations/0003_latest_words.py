from django.db import migrations


def take_over(apps, schema_editor):
    """Older entries had one location, and said of files of this site "portal:images/…"."""
    entries = apps.get_model("marketplace", "Entry").objects.all()
    known = set()
    for entry in entries.order_by("-created_at", "-pk").iterator():
        entry.is_kept_here = entry.location.startswith("portal:images/")
        entry.locations = [entry.location] if entry.location and not entry.is_kept_here else []
        key = (entry.identifier, entry.endorser_email)
        entry.is_latest = key not in known
        known.add(key)
        entry.save(update_fields=["is_kept_here", "locations", "is_latest"])


class Migration(migrations.Migration):
    dependencies = [("marketplace", "0002_whole_marketplace")]

    operations = [migrations.RunPython(take_over, migrations.RunPython.noop)]
