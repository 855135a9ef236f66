"""The steps of disks and of what is made of them: look, then ask, then say where to go."""

from collections.abc import Mapping

from core.machine import Step
from volumes.lifecycle import (
    arriving,
    cleaning,
    deriving,
    exporting,
    fetching,
    making,
    plugging,
    receiving,
    saving,
    snapshots,
)
from volumes.models import Attachment, Export, Snapshot, Volume

VOLUME_STEPS: Mapping[str, Step[Volume]] = {
    **making.STEPS,
    **deriving.STEPS,
    **receiving.STEPS,
    **fetching.STEPS,
    **arriving.STEPS,
    **saving.STEPS,
    **cleaning.STEPS,
}
ATTACHMENT_STEPS: Mapping[str, Step[Attachment]] = plugging.STEPS
SNAPSHOT_STEPS: Mapping[str, Step[Snapshot]] = snapshots.STEPS
EXPORT_STEPS: Mapping[str, Step[Export]] = exporting.STEPS
