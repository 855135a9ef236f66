"""WANTED, MEASURING: size and checksums of what a draft is about."""

from collections.abc import Mapping

from core.machine import Step
from marketplace.models import Draft

STEPS: Mapping[str, Step[Draft]] = {}
