from functools import partial
from importlib import import_module
from typing import Any

from django.apps import AppConfig

from core import live


class VmsConfig(AppConfig):
    name = "vms"

    def ready(self) -> None:
        live.register("vm", self._may_see)
        live.register("batch", partial(self._may_see, model="Batch"))
        live.register("network", partial(self._may_see, model="Network"))
        live.register("cluster", partial(self._may_see, model="Cluster"))
        live.register("build", partial(self._may_see, model="Build"))
        machine = import_module("core.machine")
        machine.listen("vm", "vms.lifecycle.telling.machine_moved")
        machine.listen("readiness", "vms.lifecycle.telling.readiness_moved")
        machine.listen("cluster", "vms.lifecycle.telling.cluster_moved")
        import_module("registration.holdings").register("vms.holdings.MACHINES")

    def _may_see(self, user: Any, uuid: str, *, model: str = "VM") -> bool:
        rows: Any = self.get_model(model)._default_manager
        return bool(rows.visible_to(user).filter(uuid=uuid).exists())
