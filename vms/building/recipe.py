"""What is done to a machine before its disk becomes an image, as a person asks for it.

Source: StratusLab's ``stratus-create-image`` (stratuslab.md 2.11). Its excludes were accepted and
left alone; here they are removed.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from vms.building.excludes import problem as exclude_problem
from vms.building.installers import INSTALLERS, repository_problem

MOST_PACKAGES, LONGEST_PACKAGE = 200, 128
MOST_REPOSITORIES = 20
MOST_SCRIPTS = 20
MOST_ARGUMENTS, LONGEST_ARGUMENT = 50, 1000
MOST_EXCLUDES = 100
#: Of one text, and of all that the guest is sent.
LARGEST_TEXT_BYTES, LARGEST_RECIPE_BYTES = 64 << 10, 256 << 10

#: Names of Debian, RPM and Alpine packages, with versions, groups and architectures.
_PACKAGE = re.compile(r"[A-Za-z0-9@][A-Za-z0-9+._:~=/@^-]*")

#: What no two machines may share, and what this one alone has written.
DEFAULT_EXCLUDES = (
    "/tmp/*",  # noqa: S108  (in the guest)
    "/var/tmp/*",  # noqa: S108
    "/etc/ssh/ssh_host_*",
    "/etc/dropbear/*_host_key",
    "/root/.ssh/authorized_keys",
    "/root/.ssh/known_hosts",
    "/home/*/.ssh/authorized_keys",
    "/home/*/.ssh/known_hosts",
    "/root/.bash_history",
    "/home/*/.bash_history",
    "/var/log/cloud-init*.log",
    "/var/log/user-data.log",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A program of the person's own; without ``#!`` a shell reads it."""

    name: str
    text: str
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The steps in their order; blank ones are left out. ``installer``: a key of INSTALLERS."""

    prerecipe: str = ""
    installer: str = ""
    repositories: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    recipe: str = ""
    scripts: tuple[Script, ...] = ()
    excludes: tuple[str, ...] = DEFAULT_EXCLUDES

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Self:
        scripts = tuple(
            Script(name=one["name"], text=one["text"], arguments=tuple(one["arguments"]))
            for one in kept.get("scripts", ())
        )
        return cls(
            prerecipe=kept.get("prerecipe", ""),
            installer=kept.get("installer", ""),
            repositories=tuple(kept.get("repositories", ())),
            packages=tuple(kept.get("packages", ())),
            recipe=kept.get("recipe", ""),
            scripts=scripts,
            excludes=tuple(kept.get("excludes", ())),
        )


def problems(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """What is wrong with it: the field, and a sentence."""
    yield from _packages(recipe)
    yield from _repositories(recipe)
    for field in ("prerecipe", "recipe"):
        if sentence := _text_problem(getattr(recipe, field)):
            yield field, sentence
    yield from _scripts(recipe)
    if len(recipe.excludes) > MOST_EXCLUDES:
        yield "excludes", f"These are {len(recipe.excludes)} lines; {MOST_EXCLUDES} at most."
    for path in recipe.excludes:
        if sentence := exclude_problem(path):
            yield "excludes", sentence
    if (size := _size_bytes(recipe)) > LARGEST_RECIPE_BYTES:
        yield "", f"All texts have {size >> 10} KiB together; {LARGEST_RECIPE_BYTES >> 10} KiB at "\
            "most. Have a script fetch what is large, or attach a disk with it."  # fmt: skip


def _packages(recipe: Recipe) -> Iterator[tuple[str, str]]:
    if recipe.installer and recipe.installer not in INSTALLERS:
        yield "installer", f"Choose one of {', '.join(INSTALLERS)}."
    elif (recipe.packages or recipe.repositories) and not recipe.installer:
        yield "installer", "Choose what installs packages: the entry does not say which system "\
            "the image has."  # fmt: skip
    if len(recipe.packages) > MOST_PACKAGES:
        yield "packages", f"These are {len(recipe.packages)} packages; {MOST_PACKAGES} at most."
    for name in recipe.packages:
        if len(name) > LONGEST_PACKAGE or not _PACKAGE.fullmatch(name):
            yield "packages", f"“{name[:40]}” is no name of a package: letters, digits and "\
                "+ . _ : ~ = / @ ^ -, a letter or digit first."  # fmt: skip


def _repositories(recipe: Recipe) -> Iterator[tuple[str, str]]:
    if len(recipe.repositories) > MOST_REPOSITORIES:
        many = len(recipe.repositories)
        yield "repositories", f"These are {many} repositories; {MOST_REPOSITORIES} at most."
    for line in recipe.repositories:
        if sentence := repository_problem(recipe.installer, line):
            yield "repositories", sentence


def _scripts(recipe: Recipe) -> Iterator[tuple[str, str]]:
    if len(recipe.scripts) > MOST_SCRIPTS:
        yield "scripts", f"These are {len(recipe.scripts)} scripts; {MOST_SCRIPTS} at most."
    for script in recipe.scripts:
        if not script.name.isprintable():
            yield "scripts", "The name of a script has no control characters."
        if not script.text.strip():
            yield "scripts", f"The script {script.name} is empty."
        if sentence := _text_problem(script.text):
            yield "scripts", f"{script.name}: {sentence}"
        if len(script.arguments) > MOST_ARGUMENTS:
            many = len(script.arguments)
            yield "scripts", f"{script.name} has {many} arguments; {MOST_ARGUMENTS} at most."
        for argument in script.arguments:
            if len(argument) > LONGEST_ARGUMENT or not argument.isprintable():
                yield "scripts", f"An argument of {script.name} has control characters, or more "\
                    f"than {LONGEST_ARGUMENT} characters."  # fmt: skip


def _text_problem(text: str) -> str:
    if "\0" in text:
        return "This is no text: it has a NUL character."
    size = len(text.encode())
    if size > LARGEST_TEXT_BYTES:
        return f"It has {size >> 10} KiB; {LARGEST_TEXT_BYTES >> 10} KiB at most."
    return ""


def _size_bytes(recipe: Recipe) -> int:
    texts = [recipe.prerecipe, recipe.recipe, *(script.text for script in recipe.scripts)]
    return sum(len(text.encode()) for text in texts)


def next_version(version: str) -> str:
    """That of an image made of one with this version: 1.3 leads to 1.4, and 12 to 12.1."""
    found = re.match(r"\s*v?(\d{1,12})(?:\.(\d{1,12}))?", version)
    if not found:
        return "1.0"
    return f"{found[1]}.{int(found[2] or 0) + 1}"
