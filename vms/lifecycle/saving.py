"""The steps of an image that a machine's disk is to become.

No step waits, none writes its row but through ``keep``, and each may run twice.
"""

from collections.abc import Mapping

from core.machine import Step
from vms.models import Saving

SAVING_STEPS: Mapping[str, Step[Saving]] = {}
