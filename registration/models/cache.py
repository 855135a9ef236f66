"""The table of Django's database cache, where the sign-in pages count what was tried."""

from django.db import models


class CacheLine(models.Model):
    """Written by ``django.core.cache.backends.db`` alone; its columns are that backend's."""

    cache_key = models.CharField(max_length=255, primary_key=True)
    value = models.TextField()
    expires = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "portal_cache"

    def __str__(self) -> str:
        return self.cache_key
