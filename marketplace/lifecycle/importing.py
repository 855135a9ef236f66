"""IMPORTING: read another catalogue, and take over what is wanted of it."""

from collections.abc import Mapping

from core.machine import Step
from marketplace.models import Source

STEPS: Mapping[str, Step[Source]] = {}
