"""YAML that somebody else wrote: read only once it is known to stay small.

libyaml descends into nested texts by recursion of C, which ends the whole process, and what
aliases and merges stand for can be a million times what was sent. Both are seen in the events,
before anything is built.
"""

from typing import Any

import yaml

MOST_DEPTH = 100
#: Values, with what aliases stand for counted each time.
MOST_VALUES = 100_000

#: libyaml where it is there; both read and refuse the same texts.
SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
#: Every scalar is a text to it.
BaseLoader: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


class TooMuch(yaml.MarkedYAMLError):
    """It is nested too deeply, or stands for too much."""


def load(text: str, loader: Any = SafeLoader) -> Any:
    """What ``text`` says.

    Raises:
        yaml.YAMLError, ValueError, TypeError, RecursionError: it says nothing. ``TooMuch``: more
            than ``MOST_DEPTH`` levels or ``MOST_VALUES`` values.
    """
    _must_be_small(text, loader)
    return yaml.load(text, loader)  # noqa: S506  (one of the two above)


def _must_be_small(text: str, loader: Any) -> None:
    known: dict[str, int] = {}  # what each anchor stands for, in values
    open_: list[tuple[str | None, int]] = []
    total = 0
    for event in yaml.parse(text, loader):
        size = 0
        if isinstance(event, yaml.CollectionStartEvent):
            open_.append((event.anchor, total))
            size = 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_.pop()
            if anchor:
                known[anchor] = total - before
        elif isinstance(event, yaml.ScalarEvent):
            size = 1
            if event.anchor:
                known[event.anchor] = 1
        elif isinstance(event, yaml.AliasEvent):
            size = known.get(str(event.anchor), 1)
        total += size
        if len(open_) > MOST_DEPTH:
            raise _too_much(event, f"it is nested more than {MOST_DEPTH} levels deep")
        if total > MOST_VALUES:
            raise _too_much(event, f"it stands for more than {MOST_VALUES} values")


def _too_much(event: Any, problem: str) -> TooMuch:
    return TooMuch(problem=problem, problem_mark=event.start_mark)
