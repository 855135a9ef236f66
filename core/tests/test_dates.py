"""Dates in the language of the person who reads them."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from babel import Locale
from django.template import Context, Template

from core import dates

AT = datetime(2026, 3, 1, 14, 5, 9, tzinfo=UTC)


def said(tag: str, style: str = "", at: datetime | None = AT) -> str:
    text = f"{{% load dates %}}{{% {tag} at %}}"
    return Template(text).render(Context({"at": at, "date_style": style}))


@pytest.mark.parametrize("style", dates.STYLES.values(), ids=list(dates.STYLES))
def test_every_style_is_known_and_tells_two_days_apart(style):
    if style.locale:
        Locale.parse(style.locale)
    later = AT + timedelta(days=1)
    assert style.day(AT) != style.day(later)
    assert "2026" in style.day(AT)
    assert style.clock(AT, to_the_second=True) != style.clock(
        AT + timedelta(seconds=1), to_the_second=True
    )


@pytest.mark.parametrize(
    ("style", "moment"),
    [
        ("", "1 March 2026, 14:05 UTC"),
        ("unknown", "1 March 2026, 14:05 UTC"),
        ("en-US", "March 1, 2026, 2:05\N{NO-BREAK SPACE}PM UTC"),
        ("iso", "2026-03-01 14:05 UTC"),
        ("fr", "1 mars 2026, 14:05 UTC"),
    ],
)
def test_a_moment_is_written_in_the_style_that_was_chosen(style, moment):
    assert f">{moment}</time>" in said("moment", style)


def test_machines_and_screen_readers_are_told_too():
    markup = said("day", "de")
    assert 'datetime="2026-03-01T14:05:09+00:00"' in markup
    assert ' lang="de"' in markup
    assert "lang=" not in said("day", "en-US")
    assert "lang=" not in said("day", "iso")


@pytest.mark.parametrize("tag", ["day", "moment", "second", "clock", "age"])
def test_nothing_is_said_of_what_did_not_happen(tag):
    assert said(tag, at=None) == ""


@pytest.mark.parametrize(
    ("style", "seconds", "age"),
    [
        ("", 2, "just now"),
        ("", 59, "59 s ago"),
        ("iso", 3599, "59 min ago"),
        ("", 47 * 3600, "47 h ago"),
        ("", 48 * 3600, "2 days ago"),
        ("de", 180, "vor 3 Min."),
        ("fr", 47 * 3600, "il y a 47 h"),
        ("pl", 40 * 86400, "40 dni temu"),
        ("de", -30, "vor 1 Sek."),
    ],
)
def test_an_age_is_said_in_one_unit(style, seconds, age):
    with time_machine.travel(AT + timedelta(seconds=seconds), tick=False):
        words = said("age", style).replace("\N{NO-BREAK SPACE}", " ")
        assert f">{age}</time>" in words
        assert "data-ago" in words
