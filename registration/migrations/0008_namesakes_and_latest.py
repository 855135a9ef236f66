"""Find namesakes and the latest decisions among thousands of people."""

from django.db import migrations, models
from django.db.models.functions import Lower


class Migration(migrations.Migration):
    dependencies = [("registration", "0007_shipped_reasons")]

    operations = [
        migrations.AddIndex(
            "user",
            models.Index(fields=["state", "state_since"], name="registration_user_latest"),
        ),
        migrations.AddIndex("user", models.Index(Lower("username"), name="registration_user_name")),
        migrations.AddIndex("user", models.Index(Lower("email"), name="registration_user_address")),
    ]
