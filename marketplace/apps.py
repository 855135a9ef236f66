from typing import Any

from django.apps import AppConfig
from django.db import connections
from django.db.models.signals import post_migrate

from core import live
from marketplace.search import index
from registration import elsewhere

#: The tables whose rows open pages hear of, by what the stream calls them.
LIVE = {
    "document": "DocumentArrival",
    "draft": "Draft",
    "image": "ImageFile",
    "inspection": "Inspection",
    "pending": "Pending",
    "publication": "Publication",
    "source": "Source",
}

#: What the gate of disks asks, by the functions' names.
GATE = ("ask", "check", "to_read", "way")

WAITING = elsewhere.Elsewhere(
    count="marketplace.opening.count_waiting",
    page="marketplace:publications",
    one="entry waits to be published",
    many="entries wait to be published",
)


class MarketplaceConfig(AppConfig):
    name = "marketplace"

    def ready(self) -> None:
        from volumes import gates  # noqa: PLC0415  (it knows disks, which are there by now)

        post_migrate.connect(self._keep_index, sender=self)
        elsewhere.register("publications", WAITING)
        of_disks = {name: f"marketplace.actions.disks.{name}" for name in GATE}
        gates.register("marketplace", gates.Gate(**of_disks))
        for kind, table in LIVE.items():
            live.register(kind, self._may_see(table))

    def _keep_index(self, using: str, plan: Any = (), **more: Any) -> None:
        """A migration may have had the database forget it."""
        if plan:
            index.make(connections[using])

    def _may_see(self, table: str) -> live.Policy:
        def may_see(user: Any, uuid: str) -> bool:
            rows: Any = self.get_model(table)._default_manager
            return bool(rows.visible_to(user).filter(uuid=uuid).exists())

        return may_see
