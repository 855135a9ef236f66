"""CHECKING, UNPACKING, CONVERTING, CLEARING: from a landed file to a disk.

No step waits, none writes its row but through ``keep``, and each may run twice.
"""

from collections.abc import Mapping

from core.machine import Step
from volumes.models import Volume

STEPS: Mapping[str, Step[Volume]] = {}
