"""The driver's edge: whatever goes wrong inside leaves as one of the five errors."""

import errno
import functools
import logging
import subprocess
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from cloud.errors import CloudError, CloudFull, CloudUnavailable
from cloud.local.qcow2 import Damaged
from cloud.local.qmp import NoAnswer

logger = logging.getLogger("cloud.local")

P = ParamSpec("P")
R = TypeVar("R")


def edge(call: Callable[P, R]) -> Callable[P, R]:
    """Translate errors of a driver call, and say in the log how long it took."""

    @functools.wraps(call)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        began = time.monotonic()
        outcome = "ok"
        try:
            return call(*args, **kwargs)
        except CloudError as error:
            outcome = type(error).__name__
            raise
        except (OSError, NoAnswer, subprocess.SubprocessError, Damaged) as error:
            outcome = type(error).__name__
            raise translated(error) from error
        finally:
            took_ms = round((time.monotonic() - began) * 1000, 1)
            extra = {"call": call.__name__, "outcome": outcome, "took_ms": took_ms}
            logger.info("cloud.call", extra=extra)

    return wrapped


def translated(error: Exception) -> CloudError:
    """The portal's word for an error of the host."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return CloudFull("The site's disk is full. Try again later.", detail=repr(error))
    if isinstance(error, Damaged):
        return CloudUnavailable(
            "This disk's file is damaged. An administrator can help.", detail=repr(error)
        )
    if isinstance(error, NoAnswer):
        return CloudUnavailable("The machine's emulator does not answer.", detail=repr(error))
    if isinstance(error, FileNotFoundError) and error.filename in ("setpriv", "qemu-img", "env"):
        return CloudUnavailable(
            f"{error.filename} is not installed on this host.", detail=repr(error)
        )
    return CloudUnavailable("The engine cannot do that now.", detail=repr(error))
