from importlib import import_module
from typing import Any

from django.apps import AppConfig

from core import live


class VmsConfig(AppConfig):
    name = "vms"

    def ready(self) -> None:
        live.register("vm", self._may_see)
        import_module("registration.holdings").register("vms.holdings.MACHINES")

    def _may_see(self, user: Any, uuid: str) -> bool:
        rows: Any = self.get_model("VM")._default_manager
        return bool(rows.visible_to(user).filter(uuid=uuid).exists())
