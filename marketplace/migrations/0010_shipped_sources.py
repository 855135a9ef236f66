"""Public sources of images, switched off: one click begins to import from them."""

from django.conf import settings
from django.db import migrations

SHIPPED = [
    {
        "name": "Ubuntu",
        "kind": "simplestreams",
        "url": "https://cloud-images.ubuntu.com/releases/",
        "note": "Canonical's images of every supported Ubuntu, for servers and clouds.",
        "wanted": {"arch": ["x86_64"]},
    },
    {
        "name": "Debian",
        "kind": "debian",
        "url": "https://cloud.debian.org/images/cloud/",
        "note": "Debian's own images of every supported release, for clouds.",
        "wanted": {"arch": ["x86_64"]},
    },
    {
        "name": "Linux Containers",
        "kind": "simplestreams",
        "url": "https://images.linuxcontainers.org/",
        "note": "Alma, Alpine, Arch, Fedora, openSUSE, Rocky and many more, rebuilt every day. "
        "They start only on clouds whose machines have UEFI.",
        "wanted": {"arch": ["x86_64"], "words": "cloud"},
    },
]


def add(apps, schema_editor):
    sources = apps.get_model("marketplace", "Source")
    known = sources.objects.using(schema_editor.connection.alias)
    for source in SHIPPED:
        if not known.filter(url=source["url"]).exists() and not known.filter(name=source["name"]):
            known.create(cloud=settings.DEFAULT_CLOUD, is_shipped=True, state="off", **source)


class Migration(migrations.Migration):
    dependencies = [
        ("marketplace", "0009_copies_of_images"),
    ]

    operations = [migrations.RunPython(add, migrations.RunPython.noop, elidable=False)]
