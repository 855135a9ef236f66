"""The steps of a file to download.

No step waits, none writes its row but through ``keep``, and each may run twice.
"""

from collections.abc import Mapping

from core.machine import Step
from volumes.models import Export

STEPS: Mapping[str, Step[Export]] = {}
