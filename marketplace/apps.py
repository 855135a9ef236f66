from typing import Any

from django.apps import AppConfig
from django.db import connections
from django.db.models.signals import post_migrate

from core import live
from marketplace.search import index


class MarketplaceConfig(AppConfig):
    name = "marketplace"

    def ready(self) -> None:
        post_migrate.connect(self._keep_index, sender=self)
        live.register("image", self._may_see)

    def _keep_index(self, using: str, plan: Any = (), **more: Any) -> None:
        """A migration may have had the database forget it."""
        if plan:
            index.make(connections[using])

    def _may_see(self, user: Any, uuid: str) -> bool:
        rows: Any = self.get_model("ImageFile")._default_manager
        return bool(rows.visible_to(user).filter(uuid=uuid).exists())
