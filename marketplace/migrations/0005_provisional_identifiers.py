import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("marketplace", "0004_one_last_word"),
    ]

    operations = [
        migrations.AlterField(
            model_name="entry",
            name="identifier",
            field=models.CharField(
                max_length=27,
                validators=[
                    django.core.validators.RegexValidator(
                        "^[A-P_][A-Za-z0-9_-]{26}\\Z",
                        "An image identifier has 27 letters, digits, - or _.",
                    )
                ],
            ),
        ),
    ]
