from typing import Any

from django.apps import AppConfig

from core import live


class MarketplaceConfig(AppConfig):
    name = "marketplace"

    def ready(self) -> None:
        live.register("image", self._may_see)

    def _may_see(self, user: Any, uuid: str) -> bool:
        rows: Any = self.get_model("ImageFile")._default_manager
        return bool(rows.visible_to(user).filter(uuid=uuid).exists())
