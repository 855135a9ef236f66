from importlib import import_module
from typing import Any

from django.apps import AppConfig

from core import live


class VolumesConfig(AppConfig):
    name = "volumes"

    def ready(self) -> None:
        tables = (("volume", "Volume"), ("export", "Export"), ("disk_offer", "Offer"))
        for kind, table in tables:
            live.register(kind, self._may_see(table))
        import_module("core.machine").listen("volume", "volumes.lifecycle.telling.volume_moved")
        import_module("registration.holdings").register("volumes.holdings.DISKS")

    def _may_see(self, table: str) -> live.Policy:
        def policy(user: Any, uuid: str) -> bool:
            rows: Any = self.get_model(table)._default_manager
            return bool(rows.visible_to(user).filter(uuid=uuid).exists())

        return policy
