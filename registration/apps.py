from importlib import import_module
from typing import Any

from django.apps import AppConfig, apps
from django.utils.module_loading import import_string

from core import live


def _whose(session_key: str) -> Any:
    """By path: an app is ready before its modules may be read."""
    somebody = import_string("registration.acting.behind")(session_key)
    return somebody.user if somebody else None


def _may_see(user: Any, uuid: str) -> bool:
    return bool(user._meta.default_manager.visible_to(user).filter(uuid=uuid).exists())


def _may_see_group(user: Any, uuid: str) -> bool:
    """Whoever is invited as well: their list of groups shows it."""
    groups: Any = apps.get_model("registration", "Group")._default_manager
    return bool(groups.known_to(user).filter(uuid=uuid).exists())


def _may_see_wish(user: Any, uuid: str) -> bool:
    wishes = import_string("registration.models.QuotaWish").objects
    return bool(wishes.visible_to(user).filter(uuid=uuid).exists())


def _may_see_own(table: str) -> live.Policy:
    def policy(user: Any, uuid: str) -> bool:
        rows: Any = apps.get_model("registration", table)._default_manager
        return bool(rows.visible_to(user).filter(uuid=uuid).exists())

    return policy


def _may_see_notification(user: Any, uuid: str) -> bool:
    """All of a person's were read at once: then it is the person that the stream names."""
    return str(user.uuid) == uuid or _may_see_own("Notification")(user, uuid)


class RegistrationConfig(AppConfig):
    name = "registration"

    def ready(self) -> None:
        live.register("account", _may_see)
        live.register("quota_wish", _may_see_wish)
        live.register("group", _may_see_group)
        live.register("notification", _may_see_notification)
        live.register("delivery", _may_see_own("Delivery"))
        live.recognise_by(_whose)
        import_module("registration.holdings").register("registration.actions.legacies.GROUPS")
