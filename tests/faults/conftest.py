"""A site of the embedded engine without a portal, for faults of the engine alone."""

from cloud.tests.test_local import demo_image, driver, home

__all__ = ["demo_image", "driver", "home"]
