"""The first recipes say in plain words what they lack, where a machine reaches no packages; and root
of another machine, who is nobody on an NFS server, may write: in a sticky folder kernels refuse it.
"""

from django.db import migrations

LACKING = (
    "could not be installed. Does this machine reach a repository of packages, by the network "
    "or on a disk?"
)

WEB_PAGE_BEFORE = """\
set -eu
for folder in"""
WEB_PAGE = f"""\
set -eu
command -v nginx >/dev/null || {{
	echo "nginx {LACKING}"
	exit 1
}}
for folder in"""

NFS_BEFORE = """\
set -eu
if command -v apt-get >/dev/null; then
	export DEBIAN_FRONTEND=noninteractive
	apt-get update
	apt-get install -y --no-install-recommends nfs-kernel-server
	service=nfs-kernel-server
else
	$(command -v dnf || command -v yum) install -y nfs-utils
	service=nfs-server
fi
"""
NFS = f"""\
set -eu
lacking() {{
	echo "The NFS server {LACKING}"
	exit 1
}}
if command -v apt-get >/dev/null; then
	export DEBIAN_FRONTEND=noninteractive
	apt-get update || true
	apt-get install -y --no-install-recommends nfs-kernel-server || lacking
	service=nfs-kernel-server
else
	$(command -v dnf || command -v yum) install -y nfs-utils || lacking
	service=nfs-server
fi
"""
STICKY = "chmod 1777 /srv/nfs\n"
OPEN = "chmod 0777 /srv/nfs\n"
CHANGES = ((WEB_PAGE_BEFORE, WEB_PAGE), (NFS_BEFORE, NFS), (STICKY, OPEN))


def replace(apps, changes):
    for recipe in apps.get_model("vms", "Recipe").objects.filter(owner=None):
        for part in recipe.context.get("parts", []):
            for old, new in changes:
                part["text"] = part["text"].replace(old, new)
        recipe.save(update_fields=["context"])


def say_more(apps, schema_editor):
    replace(apps, CHANGES)


def say_less(apps, schema_editor):
    replace(apps, [(new, old) for old, new in CHANGES])


class Migration(migrations.Migration):
    dependencies = [("vms", "0015_batches_told_of")]

    operations = [migrations.RunPython(say_more, say_less)]
