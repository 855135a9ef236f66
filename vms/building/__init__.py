"""An image that is created by itself, without any I/O: the recipe, its steps, the agent that takes
them in the guest, and what the guest says of them."""

from vms.building.agent import user_data
from vms.building.installers import INSTALLERS, guess
from vms.building.logs import clean, last_lines
from vms.building.markers import Said, Shown, read
from vms.building.recipe import (
    DEFAULT_EXCLUDES,
    MOST_PACKAGES,
    MOST_SCRIPTS,
    Recipe,
    Script,
    next_version,
    problems,
)
from vms.building.steps import Step, steps

__all__ = [
    "DEFAULT_EXCLUDES", "INSTALLERS", "MOST_PACKAGES", "MOST_SCRIPTS", "Recipe", "Said", "Script",
    "Shown", "Step", "clean", "guess", "last_lines", "next_version", "problems", "read", "steps",
    "user_data",
]  # fmt: skip
