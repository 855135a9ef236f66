"""What the guest of a machine is told: judged, and as columns of its row."""

from collections.abc import Sequence
from typing import Any

from cloud.types import ContextMethod
from core.errors import Refused
from vms.context import Context, Part, Unreadable, as_json, check, errors, user_data, with_system


def must_be_understood(context: Context, system: Sequence[Part]) -> None:
    """Raises: Refused: ``context_invalid``, ``context_method``."""
    for problem in errors(check(context)):
        raise Refused("context_invalid", problem.sentence, field="context")
    if not system:
        return
    if context.method is not ContextMethod.CLOUD_INIT:
        sentence = "The portal has a part of its own in this machine: choose cloud-init for it."
        raise Refused("context_method", sentence, field="context_method")
    try:
        with_system(user_data(context), system)
    except Unreadable as error:
        raise Refused("context_invalid", str(error), field="context") from None


def columns(context: Context, system: Sequence[Part]) -> dict[str, Any]:
    """For ``VM``. Literal user data are in its ``user_data`` alone."""
    kept = as_json(context)
    kept.pop("literal", None)
    if system:
        kept["system"] = as_json(Context(parts=tuple(system)))["parts"]
    return {
        "context_method": str(context.method), "context": kept, "user_data": user_data(context),
    }  # fmt: skip
