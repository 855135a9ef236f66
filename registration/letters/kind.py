"""One sort of mail: when it is sent, its placeholders, and the words that are shipped.

Paragraphs are set apart by a blank line. A line whose placeholders are all empty is left out.
"""

from dataclasses import dataclass

from registration.letters.placeholders import PORTAL, SITE, Placeholder, link, quote


@dataclass(frozen=True, slots=True)
class Kind:
    """One sort of mail. Without the placeholders in ``required`` it would be of no use."""

    name: str
    title: str
    when: str  # it is sent, and to whom
    own: tuple[Placeholder, ...]
    subject: str
    text: str
    required: frozenset[str] = frozenset()

    @property
    def placeholders(self) -> dict[str, Placeholder]:
        return {each.name: each for each in (*self.own, SITE, PORTAL)}

    @property
    def labels(self) -> dict[str, str]:
        """What the buttons of its links say."""
        return {name: each.label for name, each in self.placeholders.items() if each.label}

    def __str__(self) -> str:
        return self.title


LINK = frozenset({"link"})
REASON = frozenset({"reason"})
WHAT = frozenset({"what"})

THE_REASON = quote("reason", "what the administrator wrote", "We could not tell who you are.")
SIGN_IN = link("where one signs in", "/login/", "Sign in")
