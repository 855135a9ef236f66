from typing import Any

from django.apps import AppConfig

from core import live


def _may_see(user: Any, uuid: str) -> bool:
    return bool(type(user)._default_manager.visible_to(user).filter(uuid=uuid).exists())


class RegistrationConfig(AppConfig):
    name = "registration"

    def ready(self) -> None:
        live.register("account", _may_see)
