"""What stands for something else in the words of a letter: ``{name}``."""

import re
from dataclasses import dataclass
from enum import StrEnum

#: Anything in braces, known or not.
PATTERN = re.compile(r"\{([^{}\n]*)\}")


class Shape(StrEnum):
    WORDS = "words"  # some words in a line
    LINK = "link"  # an address; alone on a line it becomes a button
    QUOTE = "quote"  # what somebody wrote, set apart
    LIST = "list"  # a line for each of several things


@dataclass(frozen=True, slots=True)
class Placeholder:
    """``means`` and ``sample`` are for administrators; ``label`` is what a link's button says."""

    name: str
    means: str
    sample: str
    shape: Shape = Shape.WORDS
    label: str = ""

    @property
    def written(self) -> str:
        return f"{{{self.name}}}"


SITE = Placeholder("site", "the name of this site", "StratusLab")
PORTAL = Placeholder(
    "portal",
    "the address of the portal",
    "https://portal.example.org",
    Shape.LINK,
    "Open the portal",
)
NAME = Placeholder("name", "the person's name", "Jane Doe")
USERNAME = Placeholder("username", "the person's user name", "jane")
EMAIL = Placeholder("email", "the person's e-mail address", "jane.doe@example.org")
PERSON = (NAME, USERNAME)


def link(means: str, path: str, label: str, name: str = "link") -> Placeholder:
    return Placeholder(name, means, f"{PORTAL.sample}{path}", Shape.LINK, label)


def quote(name: str, means: str, sample: str) -> Placeholder:
    return Placeholder(name, means, sample, Shape.QUOTE)
