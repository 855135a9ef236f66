"""What became of all that a catalogue elsewhere lists: each thing is counted once."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Figure = Literal["new", "known", "twice", "unwanted", "over", "refused"]
#: Lines of what was refused that are kept and shown.
MOST_LINES = 100


@dataclass(slots=True)
class Outcome:
    """The figures of one import, and a line for each refusal."""

    figures: Counter[str] = field(default_factory=Counter)
    refusals: list[tuple[str, str]] = field(default_factory=list)

    def count(self, figure: Figure) -> None:
        self.figures[figure] += 1

    def refuse(self, what: str, sentence: str) -> None:
        self.count("refused")
        if len(self.refusals) < MOST_LINES:
            self.refusals.append((what[:200], sentence[:500]))

    @property
    def seen(self) -> int:
        """All that the catalogue lists."""
        return sum(self.figures.values())

    @property
    def added(self) -> int:
        return self.figures["new"]

    @property
    def others(self) -> Mapping[str, int]:
        """Why the rest of what is listed is not new here."""
        return {name: number for name, number in self.figures.items() if name != "new"}

    @property
    def lines(self) -> list[tuple[str, str]]:
        """What was refused, as it is kept with the source."""
        more = self.figures["refused"] - len(self.refusals)
        return [*self.refusals, ("…", f"And {more:,} more.")] if more else self.refusals
