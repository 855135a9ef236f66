from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("vms", "0007_disks"),
    ]

    operations = [
        migrations.AddField(
            model_name="cloudstatus",
            name="architectures",
            field=models.JSONField(default=list),
        ),
    ]
