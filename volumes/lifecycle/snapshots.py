"""The steps of a snapshot.

No step waits, none writes its row but through ``keep``, and each may run twice.
"""

from collections.abc import Mapping

from core.machine import Step
from volumes.models import Snapshot

STEPS: Mapping[str, Step[Snapshot]] = {}
