import uuid

import django.core.validators
import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

import marketplace.models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Entry",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                (
                    "identifier",
                    models.CharField(
                        max_length=27,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[A-P][A-Za-z0-9_-]{26}\\Z",
                                "An image identifier has 27 letters, digits, - or _.",
                            )
                        ],
                    ),
                ),
                ("endorser_email", models.EmailField(max_length=254)),
                ("created_at", models.DateTimeField(verbose_name="endorsed")),
                ("endorser_name", models.CharField(blank=True, max_length=120)),
                ("is_official", models.BooleanField(default=False, editable=False)),
                (
                    "visibility",
                    models.CharField(
                        choices=[("public", "Public"), ("private", "Private")],
                        default="public",
                        max_length=10,
                    ),
                ),
                ("title", models.CharField(blank=True, max_length=200)),
                ("alternative", models.CharField(blank=True, max_length=100, verbose_name="tag")),
                ("description", models.TextField(blank=True)),
                ("publisher", models.CharField(blank=True, max_length=120)),
                (
                    "kind",
                    models.CharField(
                        choices=[("machine", "Machine"), ("disk", "Disk")],
                        default="machine",
                        max_length=10,
                    ),
                ),
                (
                    "os",
                    models.CharField(blank=True, max_length=60, verbose_name="operating system"),
                ),
                (
                    "os_version",
                    models.CharField(
                        blank=True, max_length=60, verbose_name="version of the system"
                    ),
                ),
                (
                    "os_arch",
                    models.CharField(blank=True, max_length=30, verbose_name="architecture"),
                ),
                (
                    "version",
                    models.CharField(
                        blank=True, max_length=60, verbose_name="version of the image"
                    ),
                ),
                (
                    "serial",
                    models.PositiveBigIntegerField(
                        blank=True, null=True, verbose_name="serial number"
                    ),
                ),
                (
                    "format",
                    models.CharField(
                        choices=[("qcow2", "qcow2"), ("raw", "raw")], default="qcow2", max_length=10
                    ),
                ),
                (
                    "compression",
                    models.CharField(
                        blank=True,
                        choices=[("", "none"), ("gz", "gzip"), ("bz2", "bzip2")],
                        default="",
                        max_length=3,
                    ),
                ),
                ("size_bytes", models.PositiveBigIntegerField()),
                ("virtual_size_bytes", models.PositiveBigIntegerField(blank=True, null=True)),
                (
                    "md5",
                    models.CharField(
                        blank=True,
                        max_length=32,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[0-9a-f]{32}\\Z", "32 hexadecimal digits."
                            )
                        ],
                        verbose_name="MD5",
                    ),
                ),
                (
                    "sha1",
                    models.CharField(
                        max_length=40,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[0-9a-f]{40}\\Z", "40 hexadecimal digits."
                            )
                        ],
                        verbose_name="SHA-1",
                    ),
                ),
                (
                    "sha256",
                    models.CharField(
                        blank=True,
                        max_length=64,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[0-9a-f]{64}\\Z", "64 hexadecimal digits."
                            )
                        ],
                        verbose_name="SHA-256",
                    ),
                ),
                (
                    "sha512",
                    models.CharField(
                        blank=True,
                        max_length=128,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[0-9a-f]{128}\\Z", "128 hexadecimal digits."
                            )
                        ],
                        verbose_name="SHA-512",
                    ),
                ),
                ("location", models.CharField(blank=True, max_length=500)),
                ("valid_until", models.DateTimeField(blank=True, null=True)),
                ("deprecated", models.CharField(blank=True, max_length=500)),
                ("hypervisor", models.CharField(blank=True, default="kvm", max_length=20)),
                (
                    "disks_bus",
                    models.CharField(
                        choices=[("virtio", "virtio"), ("scsi", "scsi"), ("ide", "ide")],
                        default="virtio",
                        max_length=10,
                    ),
                ),
                (
                    "inbound_ports",
                    models.JSONField(blank=True, default=marketplace.models.default_ports),
                ),
                ("default_user", models.CharField(default="root", max_length=32)),
                (
                    "min_memory_mib",
                    models.PositiveIntegerField(
                        default=0, validators=[django.core.validators.MaxValueValidator(1048576)]
                    ),
                ),
                ("words", models.TextField(blank=True, editable=False)),
                (
                    "owner",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="entries",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "entries",
                "ordering": ["-created_at", "-pk"],
            },
        ),
        migrations.CreateModel(
            name="ImageFile",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                (
                    "state_since",
                    models.DateTimeField(default=django.utils.timezone.now, editable=False),
                ),
                ("reason", models.CharField(blank=True, editable=False, max_length=500)),
                ("next_tick_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("lease_until", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("wanted", "Wanted"),
                            ("copying", "Copying"),
                            ("ready", "Ready"),
                            ("failed", "Failed"),
                        ],
                        default="wanted",
                        max_length=10,
                    ),
                ),
                ("cloud", models.CharField(max_length=40)),
                ("identifier", models.CharField(max_length=27)),
                ("ref", models.CharField(blank=True, max_length=200)),
                ("bytes_done", models.PositiveBigIntegerField(default=0)),
                ("bytes_total", models.PositiveBigIntegerField(default=0)),
                ("virtual_size_bytes", models.PositiveBigIntegerField(blank=True, null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "entry",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="files",
                        to="marketplace.entry",
                    ),
                ),
            ],
            options={
                "ordering": ["-pk"],
            },
        ),
        migrations.AddIndex(
            model_name="entry",
            index=models.Index(fields=["owner", "-created_at"], name="marketplace_entry_owner"),
        ),
        migrations.AddConstraint(
            model_name="entry",
            constraint=models.UniqueConstraint(
                fields=("identifier", "endorser_email", "created_at"), name="marketplace_entry_key"
            ),
        ),
        migrations.AddConstraint(
            model_name="entry",
            constraint=models.CheckConstraint(
                condition=models.Q(("is_official", False), ("owner", None), _connector="OR"),
                name="marketplace_entry_official_is_the_sites",
            ),
        ),
        migrations.AddIndex(
            model_name="imagefile",
            index=models.Index(
                condition=models.Q(("next_tick_at__isnull", False)),
                fields=["next_tick_at"],
                name="marketplace_image_due",
            ),
        ),
        migrations.AddConstraint(
            model_name="imagefile",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ["wanted", "copying", "ready", "failed"])),
                name="marketplace_image_state",
            ),
        ),
        migrations.AddConstraint(
            model_name="imagefile",
            constraint=models.UniqueConstraint(
                fields=("cloud", "identifier"), name="marketplace_image_once_per_cloud"
            ),
        ),
    ]
