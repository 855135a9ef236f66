"""How far guests are with their contextualization, and the first two recipes."""

from django.db import migrations, models

WEB_CONFIG = """\
#cloud-config
# A web server. Its pages are in /var/www/html (Debian, Ubuntu) or /usr/share/nginx/html.
package_update: true
packages:
  - nginx
"""

WEB_PAGE = """\
#!/bin/sh
# A first page, so that one sees that it works: http://ADDRESS/
set -eu
for folder in /var/www/html /usr/share/nginx/html; do
	[ -d "$folder" ] || continue
	cat >"$folder/index.html" <<PAGE
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>$(hostname)</title>
<h1>$(hostname)</h1>
<p>This web server works. Put your pages into $folder.</p>
</html>
PAGE
	break
done
systemctl enable --now nginx
"""

NFS = """\
#!/bin/sh
# An NFS server: shares /srv/nfs, to read and to write, with every private network.
# On another machine:  mount -t nfs ADDRESS:/srv/nfs /mnt
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
mkdir -p /srv/nfs /etc/exports.d
chmod 1777 /srv/nfs
options=rw,sync,no_subtree_check
echo "/srv/nfs 10.0.0.0/8($options) 172.16.0.0/12($options) 192.168.0.0/16($options)" \\
	>/etc/exports.d/shared.exports
systemctl enable --now "$service"
exportfs -ra
exportfs -v
"""

RECIPES = (
    (
        "Web server",
        "nginx with a first page, on Debian, Ubuntu and their like. Let port 80 in.",
        [
            {"type": "cloud-config", "name": "web-server.yaml", "text": WEB_CONFIG},
            {"type": "x-shellscript", "name": "web-page.sh", "text": WEB_PAGE},
        ],
    ),
    (
        "NFS server",
        "Shares /srv/nfs with machines on private networks; Debian, Ubuntu, and Red Hat's like.",
        [{"type": "x-shellscript", "name": "nfs-server.sh", "text": NFS}],
    ),
)


def supply(apps, schema_editor):
    recipes = apps.get_model("vms", "Recipe")
    for name, description, parts in RECIPES:
        recipes.objects.get_or_create(
            owner=None,
            name=name,
            defaults={"description": description, "context": {"parts": parts}},
        )


def withdraw(apps, schema_editor):
    names = [name for name, _, _ in RECIPES]
    apps.get_model("vms", "Recipe").objects.filter(owner=None, name__in=names).delete()


class Migration(migrations.Migration):
    dependencies = [("vms", "0012_personal_sizes")]

    operations = [
        migrations.AddField(
            "readiness", "context_steps", models.JSONField(blank=True, default=list)
        ),
        migrations.AddField("readiness", "context_log", models.TextField(blank=True)),
        migrations.RunPython(supply, withdraw),
    ]
