"""An address that nobody has confirmed belongs to nobody: requests may name it, accounts hold it."""

from django.db import migrations, models
from django.db.models.functions import Lower


class Migration(migrations.Migration):
    dependencies = [("registration", "0004_requests_of_before")]

    operations = [
        migrations.RemoveConstraint(model_name="user", name="registration_user_email"),
        migrations.AddConstraint(
            model_name="user",
            constraint=models.UniqueConstraint(
                Lower("email"),
                condition=models.Q(
                    ("state__in", ["applied", "closed", "rejected", "withdrawn"]), _negated=True
                ),
                name="registration_user_email",
            ),
        ),
    ]
