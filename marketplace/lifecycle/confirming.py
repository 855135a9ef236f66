"""WAITING: nothing to do but to lapse; the deadline does it."""

from collections.abc import Mapping

from core.machine import Step
from marketplace.models import Pending

STEPS: Mapping[str, Step[Pending]] = {}
