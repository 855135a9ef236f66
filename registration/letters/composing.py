"""Words and values become a letter: a subject, its text, and the same in HTML."""

import logging
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256

from django.conf import settings
from django.template.loader import render_to_string
from django.utils.html import format_html, format_html_join, urlize
from django.utils.safestring import SafeString, mark_safe

from registration.letters.kind import Kind
from registration.letters.placeholders import PATTERN, Shape
from registration.letters.wording import Wording, faults
from registration.models import MailText

logger = logging.getLogger(__name__)

_LAYOUT = "registration/email/letter.html"
_STYLE = "registration/email/style.css"
_ONE = re.compile(r"\{(\w+)\}\Z")
_BLANK = re.compile(r"\n\s*\n")


@dataclass(frozen=True, slots=True)
class Letter:
    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a letter that stands on lines of its own."""

    shape: Shape
    text: str
    html: SafeString
    url: str = ""


def wording_of(kind: Kind) -> Wording:
    """The site's own words, if it has some that still fit; else the shipped ones."""
    own = MailText.objects.filter(kind=kind.name).first()
    shipped = Wording(kind.subject, kind.text)
    if own is None:
        return shipped
    words = Wording(own.subject, own.text)
    if faults(kind, words):  # written for a release with other placeholders
        logger.warning("mail.words_unfit", extra={"kind": kind.name})
        return shipped
    return words


def compose(kind: Kind, values: Mapping[str, str], words: Wording | None = None) -> Letter:
    """Fill in ``values``, by the names of the placeholders; what is missing counts as empty."""
    words = words or wording_of(kind)
    known = {name: values.get(name, "") for name in kind.placeholders}
    known |= {"site": settings.PORTAL_SITE_NAME, "portal": settings.PORTAL_URL}
    subject = " ".join(_filled(words.subject, known).split())
    blocks = list(_blocks(kind, words.text, known))
    body = "\n\n".join(block.text for block in blocks)
    foot = f"-- \n{settings.PORTAL_SITE_NAME}\n{settings.PORTAL_URL}\n"
    if settings.PORTAL_CONTACT:
        foot += f"Questions: {settings.PORTAL_CONTACT}\n"
    context = {
        "blocks": blocks,
        "subject": subject,
        "site_name": settings.PORTAL_SITE_NAME,
        "portal_url": settings.PORTAL_URL,
        "contact": settings.PORTAL_CONTACT,
    }
    return Letter(
        f"{settings.PORTAL_SITE_NAME}: {subject}",
        f"{body}\n\n{foot}",
        render_to_string(_LAYOUT, context),
    )


def sample(kind: Kind, words: Wording | None = None) -> Letter:
    """The letter with made-up values, as administrators look at it."""
    return compose(kind, {name: each.sample for name, each in kind.placeholders.items()}, words)


@cache
def style_source() -> str:
    """What lets the style sheet of our letters, and no other, through a content policy."""
    digest = sha256(render_to_string(_STYLE).encode()).digest()
    return f"'sha256-{b64encode(digest).decode()}'"


def _blocks(kind: Kind, text: str, values: Mapping[str, str]) -> Iterator[Block]:
    for paragraph in _BLANK.split(text.replace("\r\n", "\n").strip()):
        lines: list[str] = []
        for line in paragraph.splitlines():
            names = PATTERN.findall(line)
            if names and not any(values.get(name, "x") for name in names):
                continue
            alone = _ONE.match(line.strip())
            if alone and (block := _set_apart(kind, alone[1], values)):
                yield from _paragraph(kind, lines, values)
                lines = []
                yield block
            else:
                lines.append(line)
        yield from _paragraph(kind, lines, values)


def _set_apart(kind: Kind, name: str, values: Mapping[str, str]) -> Block | None:
    """What a placeholder alone on its line becomes; None: words like any others."""
    placeholder = kind.placeholders.get(name)
    if placeholder is None or placeholder.shape == Shape.WORDS:
        return None
    value = values[name].strip()
    lines = value.splitlines()
    if placeholder.shape == Shape.LINK:
        label = SafeString(format_html("{}", placeholder.label))
        return Block(Shape.LINK, value, label, value)
    if placeholder.shape == Shape.QUOTE:
        shown = format_html_join(mark_safe("<br>"), "{}", ((line,) for line in lines))
        return Block(Shape.QUOTE, "\n".join(f"> {line}".rstrip() for line in lines), shown)
    items = format_html_join("", "<li>{}</li>", ((line,) for line in lines))
    return Block(Shape.LIST, "\n".join(f"- {line}" for line in lines), items)


def _paragraph(kind: Kind, lines: list[str], values: Mapping[str, str]) -> Iterator[Block]:
    if lines:
        text = "\n".join(_filled(line, values) for line in lines)
        html = format_html_join(
            mark_safe("<br>"), "{}", ((_as_html(kind, line, values),) for line in lines)
        )
        yield Block(Shape.WORDS, text, html)


def _filled(line: str, values: Mapping[str, str]) -> str:
    """Once only: what is filled in is never looked through for placeholders."""
    return PATTERN.sub(
        lambda found: " ".join(values[found[1]].split()) if found[1] in values else found[0], line
    ).rstrip()


def _as_html(kind: Kind, line: str, values: Mapping[str, str]) -> SafeString:
    """The administrator's own addresses become links; what people wrote never does."""
    pieces = PATTERN.split(line)
    html = SafeString("")
    for number, piece in enumerate(pieces):
        if number % 2 == 0:
            html += mark_safe(urlize(piece, autoescape=True))  # noqa: S308  (it escapes)
        elif piece not in values:
            html += format_html("{}", f"{{{piece}}}")
        elif kind.placeholders[piece].shape == Shape.LINK:
            html += format_html('<a href="{0}">{0}</a>', values[piece])
        else:
            html += format_html("{}", " ".join(values[piece].split()))
    return html
