"""The steps of a disk into a machine, and out of it.

No step waits, none writes its row but through ``keep``, and each may run twice.
"""

from collections.abc import Mapping

from core.machine import Step
from volumes.models import Attachment

STEPS: Mapping[str, Step[Attachment]] = {}
