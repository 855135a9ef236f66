"""The clouds of this site by name, as Django does caches: ``clouds["local"]``.

Each thread builds its own driver; a driver remembers nothing, so all see one cloud.
"""

from typing import Any, cast

from django.utils.connection import BaseConnectionHandler
from django.utils.module_loading import import_string

from cloud.driver import CloudDriver
from cloud.errors import CloudUnavailable


class CloudHandler(BaseConnectionHandler):  # type: ignore[type-arg]
    settings_name = "CLOUDS"

    def __getitem__(self, alias: str) -> CloudDriver:
        """The driver of one cloud.

        Raises:
            CloudUnavailable: rows remember this cloud, and the site no longer has it.
        """
        if alias not in self.settings:
            raise CloudUnavailable(f"The cloud {alias} is no longer part of this site.")
        return cast(CloudDriver, super().__getitem__(alias))

    def create_connection(self, alias: str) -> CloudDriver:
        config: dict[str, Any] = self.settings[alias]
        return cast(CloudDriver, import_string(config["DRIVER"])(**config.get("OPTIONS", {})))


clouds = CloudHandler()
