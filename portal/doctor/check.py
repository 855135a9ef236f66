"""One line of the self-test."""

from dataclasses import asdict, dataclass
from enum import StrEnum


class Status(StrEnum):
    OK = "ok"
    WARNING = "warning"  # works, but somebody should know
    FAULT = "fault"  # something does not work until it is put right


@dataclass(frozen=True, slots=True)
class Check:
    """What was found about ``name``; ``fix`` says what to do and is empty when all is well."""

    name: str
    status: Status
    sentence: str
    fix: str = ""

    def as_dict(self) -> dict[str, str]:
        return {key: str(value) for key, value in asdict(self).items()}


def ok(name: str, sentence: str) -> Check:
    return Check(name, Status.OK, sentence)


def warning(name: str, sentence: str, fix: str) -> Check:
    return Check(name, Status.WARNING, sentence, fix)


def fault(name: str, sentence: str, fix: str) -> Check:
    return Check(name, Status.FAULT, sentence, fix)
