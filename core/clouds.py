"""The clouds of this site by name, as Django does caches: ``clouds["local"]``.

Each thread builds its own driver; a driver remembers nothing, so all see one cloud.
"""

from typing import Any, cast

from django.utils.connection import BaseConnectionHandler
from django.utils.module_loading import import_string

from cloud.driver import CloudDriver


class CloudHandler(BaseConnectionHandler):  # type: ignore[type-arg]
    settings_name = "CLOUDS"

    def create_connection(self, alias: str) -> CloudDriver:
        config: dict[str, Any] = self.settings[alias]
        return cast(CloudDriver, import_string(config["DRIVER"])(**config.get("OPTIONS", {})))

    def __getitem__(self, alias: str) -> CloudDriver:
        return cast(CloudDriver, super().__getitem__(alias))


clouds = CloudHandler()
