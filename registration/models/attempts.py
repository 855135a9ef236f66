"""What was tried, and how often."""

from django.db import models


class Attempts(models.Model):
    """How often something was tried and failed since an instant, by whom and from where."""

    key = models.CharField(max_length=64, unique=True)  # SHA-256: typed names may be passwords
    since = models.DateTimeField(db_index=True)
    count = models.PositiveIntegerField()

    def __str__(self) -> str:
        return f"{self.count} since {self.since}"
