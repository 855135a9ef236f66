"""The steps of images, drafts, documents and sources: look, then ask, then say where to go."""

from collections.abc import Mapping

from core.machine import Step
from marketplace.lifecycle import (
    confirming,
    images,
    importing,
    inspecting,
    measuring,
    reading,
)
from marketplace.models import (
    DocumentArrival,
    Draft,
    ImageFile,
    Inspection,
    Pending,
    Source,
)

IMAGE_STEPS: Mapping[str, Step[ImageFile]] = images.STEPS
DRAFT_STEPS: Mapping[str, Step[Draft]] = measuring.STEPS
PENDING_STEPS: Mapping[str, Step[Pending]] = confirming.STEPS
DOCUMENT_STEPS: Mapping[str, Step[DocumentArrival]] = reading.STEPS
SOURCE_STEPS: Mapping[str, Step[Source]] = importing.STEPS
INSPECTION_STEPS: Mapping[str, Step[Inspection]] = inspecting.STEPS
