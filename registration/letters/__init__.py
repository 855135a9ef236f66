"""The letters of the portal: what each says, and how its words become text and HTML."""

from registration.letters.composing import Letter, compose, sample, wording_of
from registration.letters.kind import Kind
from registration.letters.kinds import KINDS
from registration.letters.placeholders import Placeholder, Shape
from registration.letters.wording import LONGEST_SUBJECT, LONGEST_TEXT, Fault, Wording, faults

__all__ = [
    "KINDS",
    "LONGEST_SUBJECT",
    "LONGEST_TEXT",
    "Fault",
    "Kind",
    "Letter",
    "Placeholder",
    "Shape",
    "Wording",
    "compose",
    "faults",
    "sample",
    "wording_of",
]
