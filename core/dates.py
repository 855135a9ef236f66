"""Dates in the language that a person reads them in; everything else stays English."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache

from babel.dates import format_date, format_time, format_timedelta
from django.utils import timezone

#: Ages below so many seconds are said in this unit. static/js/times.js has the same table.
STEPS = ((60, 1, "second"), (3600, 60, "minute"), (2 * 86400, 3600, "hour"))
DAYS = (86400, "day")
WORDS = {"second": "s", "minute": "min", "hour": "h", "day": "days"}
JUST_NOW_S = 5
#: Days and times of day that are kept in words: a list says many of them again and again.
FEW_ENOUGH = 4096


@dataclass(frozen=True, slots=True)
class DateStyle:
    """``code`` is a BCP 47 language or ``iso``; ``locale`` its name in CLDR, none for ISO 8601."""

    code: str
    label: str
    locale: str

    def day(self, at: datetime) -> str:
        return _day_in(self.locale, at.date()) if self.locale else f"{at:%Y-%m-%d}"

    def clock(self, at: datetime, *, to_the_second: bool = False) -> str:
        if not self.locale:
            return f"{at:%H:%M:%S}" if to_the_second else f"{at:%H:%M}"
        return _clock_in(self.locale, at.time().replace(microsecond=0), to_the_second)

    def moment(self, at: datetime, *, to_the_second: bool = False) -> str:
        comma = "," if self.locale else ""
        return f"{self.day(at)}{comma} {self.clock(at, to_the_second=to_the_second)}"

    def age(self, at: datetime) -> str:
        """How long ago, in one unit."""
        seconds = max(int((timezone.now() - at).total_seconds()), 0)
        size, unit = next(((size, unit) for most, size, unit in STEPS if seconds < most), DAYS)
        if self.locale and not self.code.startswith("en"):
            count = max(seconds // size, 1)  # "0 seconds ago" is said as "in 0 seconds"
            return _age_in(self.locale, timedelta(seconds=count * size), unit)
        return "just now" if seconds < JUST_NOW_S else f"{seconds // size} {WORDS[unit]} ago"


@lru_cache(maxsize=FEW_ENOUGH)
def _day_in(locale: str, day: date) -> str:
    return format_date(day, "long", locale=locale)


@lru_cache(maxsize=FEW_ENOUGH)
def _clock_in(locale: str, clock: time, to_the_second: bool) -> str:
    text = format_time(clock, "medium" if to_the_second else "short", locale=locale)
    return text.replace("\u202f", "\u00a0")  # a thin space that not every font has


def _age_in(locale: str, age: timedelta, unit: str) -> str:
    return format_timedelta(
        -age,
        granularity=unit,  # type: ignore[arg-type]
        threshold=float("inf"),  # no larger unit than this one
        add_direction=True,
        format="short",
        locale=locale,
    )


STYLES = {
    style.code: style
    for style in (
        DateStyle("en-GB", "English, day first", "en_GB"),
        DateStyle("en-US", "English, month first", "en_US"),
        DateStyle("iso", "ISO 8601", ""),
        DateStyle("cs", "Czech", "cs"),
        DateStyle("de", "German", "de"),
        DateStyle("el", "Greek", "el"),
        DateStyle("es", "Spanish", "es"),
        DateStyle("fr", "French", "fr"),
        DateStyle("it", "Italian", "it"),
        DateStyle("nl", "Dutch", "nl"),
        DateStyle("pl", "Polish", "pl"),
        DateStyle("pt", "Portuguese", "pt"),
        DateStyle("sv", "Swedish", "sv"),
    )
}
DEFAULT = "en-GB"


def style(code: str) -> DateStyle:
    """The style of this code; the default for one that is unknown."""
    return STYLES.get(code, STYLES[DEFAULT])
