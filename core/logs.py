"""Log lines that carry the request's id: JSON for machines, a line for people."""

import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime

#: The id of the request or task that is being served; "" outside of both.
request_id: ContextVar[str] = ContextVar("request_id", default="")
#: The id that the client or a proxy gave the request: in the log beside ours, and nowhere else.
given_id: ContextVar[str] = ContextVar("given_id", default="")

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def _extra(record: logging.LogRecord) -> dict[str, object]:
    extra = {key: value for key, value in vars(record).items() if key not in _STANDARD}
    if reference := request_id.get():
        extra["reference"] = reference
    if given := given_id.get():
        extra["given"] = given
    return extra


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "event": record.getMessage(),
            **_extra(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class LineFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        extra = " ".join(f"{key}={value}" for key, value in _extra(record).items() if value != "")
        line = f"{at} {record.levelname:<7} {record.name} {record.getMessage()} {extra}".rstrip()
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line
