from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("vms", "0013_context_progress_and_recipes")]

    operations = [
        migrations.AddField(
            model_name="cluster",
            name="nodes",
            field=models.JSONField(blank=True, default=dict),
        ),
    ]
