"""The seven sizes that StratusLab's clients knew; administrators change them at will."""

from django.db import migrations

TYPES = [
    # name, vCPUs, memory MiB, swap MiB, what for
    ("t1.micro", 1, 512, 512, "Trying things out"),
    ("m1.small", 1, 1536, 1536, "Everyday work"),
    ("m1.medium", 1, 3072, 3072, "More memory"),
    ("m1.large", 2, 6144, 6144, "Two cores and room"),
    ("m1.xlarge", 4, 8192, 8192, "Four cores and room"),
    ("c1.medium", 2, 1536, 1536, "Two cores, little memory"),
    ("c1.xlarge", 4, 6144, 6144, "Four cores, less memory"),
]


def offer(apps, schema_editor):
    rows = apps.get_model("vms", "InstanceType").objects
    for name, vcpus, memory_mib, swap_mib, description in TYPES:
        rows.get_or_create(
            name=name,
            defaults={
                "vcpus": vcpus,
                "memory_mib": memory_mib,
                "swap_mib": swap_mib,
                "description": description,
                "is_default": name == "m1.small",
            },
        )


class Migration(migrations.Migration):
    dependencies = [("vms", "0001_machines")]
    operations = [migrations.RunPython(offer, migrations.RunPython.noop)]
