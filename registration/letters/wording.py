"""The words of a letter before anything is filled in, and what may be wrong with them."""

from collections.abc import Iterator
from dataclasses import dataclass

from registration.letters.kind import Kind
from registration.letters.placeholders import PATTERN, Shape

LONGEST_SUBJECT = 150
LONGEST_TEXT = 6000


@dataclass(frozen=True, slots=True)
class Wording:
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with ``field``, subject or text, as a refusal says it."""

    code: str
    sentence: str
    field: str


def faults(kind: Kind, words: Wording) -> list[Fault]:
    """Everything that keeps these words from being sent; none: they are good."""
    return [
        *_of_length("subject", words.subject, LONGEST_SUBJECT),
        *_of_length("text", words.text, LONGEST_TEXT),
        *_of_braces(kind, "subject", words.subject),
        *_of_braces(kind, "text", words.text),
        *_of_subject(kind, words.subject),
        *_of_missing(kind, words.text),
    ]


def _of_length(field: str, text: str, longest: int) -> Iterator[Fault]:
    if not text.strip():
        yield Fault(f"{field}_missing", f"Write the {field}.", field)
    elif len(text) > longest:
        sentence = f"The {field} has at most {longest:,} characters; this has {len(text):,}."
        yield Fault(f"{field}_too_long", sentence, field)


def _of_braces(kind: Kind, field: str, text: str) -> Iterator[Fault]:
    known = kind.placeholders
    for name in dict.fromkeys(PATTERN.findall(text)):
        if name not in known:
            listed = ", ".join(each.written for each in known.values())
            sentence = f"This mail has no {{{name}}}. It has {listed}."
            yield Fault("placeholder_unknown", sentence, field)
    rest = PATTERN.sub("", text)
    if "{" in rest or "}" in rest:
        sentence = "A brace stands alone; placeholders are written like {site}, in one line."
        yield Fault("brace_alone", sentence, field)


def _of_subject(kind: Kind, subject: str) -> Iterator[Fault]:
    for name in dict.fromkeys(PATTERN.findall(subject)):
        placeholder = kind.placeholders.get(name)
        if placeholder and placeholder.shape != Shape.WORDS:
            sentence = f"{placeholder.written} is for the text alone: it does not fit a subject."
            yield Fault("placeholder_not_here", sentence, "subject")


def _of_missing(kind: Kind, text: str) -> Iterator[Fault]:
    there = set(PATTERN.findall(text))
    for name, placeholder in kind.placeholders.items():
        if name in kind.required and name not in there:
            sentence = (
                f"The text needs {placeholder.written}, {placeholder.means}: without it the mail "
                "is of no use."
            )
            yield Fault("placeholder_missing", sentence, "text")
