"""What a guest would not understand, found before it is launched."""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import yaml

from cloud.types import ContextMethod
from core import yamls
from vms.context import modules, multipart, pairs
from vms.context.exchange import (
    LARGEST_PACKED_BYTES,
    LARGEST_PLAIN_BYTES,
    packed_bytes,
    user_data,
)
from vms.context.parts import MOST_PARTS, Context, Part

#: What is read as YAML; the rest of the limit is for scripts.
LARGEST_YAML_BYTES = 65_536
_SUBTYPE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,62}")
_URL = re.compile(r"https?://[^\s/]+\S*")


class Level(StrEnum):
    ERROR = "error"  # no guest could do this
    WARNING = "warning"  # it is probably not what was meant: asked about once
    NOTICE = "notice"  # worth knowing


@dataclass(frozen=True, slots=True)
class Problem:
    """``where`` is "part:1" (the first), "parts", "pairs", "literal", or "" for all of it."""

    level: Level
    code: str
    sentence: str
    where: str = ""

    @property
    def part(self) -> int:
        """The number of the part that it is about, or 0."""
        return int(self.where[5:]) if self.where.startswith("part:") else 0


def check(context: Context) -> list[Problem]:
    """Everything that is wrong with it or worth knowing, the worst first."""
    found = [*_unsendable(context)] or [*_everything(context)]
    order = list(Level)
    return sorted(found, key=lambda problem: order.index(problem.level))


def errors(problems: list[Problem]) -> list[Problem]:
    return [problem for problem in problems if problem.level is Level.ERROR]


def warnings(problems: list[Problem]) -> list[Problem]:
    return [problem for problem in problems if problem.level is Level.WARNING]


def _unsendable(context: Context) -> Iterator[Problem]:
    """Before anything is measured or read."""
    texts = [("literal", context.literal)]
    texts += [(f"part:{number}", f"{part.subtype} {part.name} {part.text}")
              for number, part in enumerate(context.parts, start=1)]  # fmt: skip
    texts += [("pairs", f"{name}={value}") for name, value in context.pairs]
    for where, text in texts:
        if "\0" in text or not _is_unicode(text):
            sentence = "It has characters that are no text: NUL, or half of a character."
            yield Problem(Level.ERROR, "not_text", sentence, where)
    plain = sum(len(text.encode(errors="replace")) for _, text in texts)
    if plain > LARGEST_PLAIN_BYTES:
        sentence = (
            f"User data has {plain} bytes; the limit is {LARGEST_PLAIN_BYTES}. Copy the large "
            "parts to the machine once it runs."
        )
        yield Problem(Level.ERROR, "too_large", sentence)
    if len(context.parts) > MOST_PARTS:
        sentence = f"These are {len(context.parts)} parts; a machine has {MOST_PARTS} at most."
        yield Problem(Level.ERROR, "too_many_parts", sentence, "parts")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _everything(context: Context) -> Iterator[Problem]:
    packed = packed_bytes(user_data(context))
    if packed > LARGEST_PACKED_BYTES:
        sentence = (
            f"User data has {packed} bytes after gzip; the limit is {LARGEST_PACKED_BYTES}. Copy "
            "the large parts to the machine once it runs."
        )
        yield Problem(Level.ERROR, "too_large_packed", sentence)
    yield from _pairs(context)
    if context.method is ContextMethod.HEPIX:
        yield from _hepix(context)
        return
    if context.literal:
        yield from _literal(context)
        return
    for number, part in enumerate(context.parts, start=1):
        yield from _part(part, f"part:{number}")
    yield from _together(context.parts)


def _pairs(context: Context) -> Iterator[Problem]:
    if reason := pairs.obstacle(context.pairs):
        yield Problem(Level.ERROR, "pair_invalid", reason, "pairs")
    if context.method is ContextMethod.CLOUD_INIT and _has_script(context):
        sentence = (
            f"{pairs.SCRIPT} is run by guests of the method OpenNebula/HEPiX only. For cloud-init, "
            "add the line as a script, or as runcmd of a #cloud-config."
        )
        yield Problem(Level.WARNING, "script_exec_unheard", sentence, "pairs")


def _has_script(context: Context) -> bool:
    return any(name.upper() == pairs.SCRIPT for name, _ in context.pairs)


def _hepix(context: Context) -> Iterator[Problem]:
    if context.parts and not context.literal:
        sentence = (
            "The method OpenNebula/HEPiX knows no parts. Choose cloud-init, or give one script as "
            f"literal user data, or a line as {pairs.SCRIPT}."
        )
        yield Problem(Level.ERROR, "parts_unheard", sentence, "parts")
    if context.literal and not context.literal.startswith("#!"):
        sentence = "It is handed to the guest as USER_DATA, but run only if it begins with #!."
        yield Problem(Level.WARNING, "literal_not_run", sentence, "literal")


def _literal(context: Context) -> Iterator[Problem]:
    if context.parts:
        count = len(context.parts)
        parts = "the part" if count == 1 else f"the {count} parts"
        yield Problem(
            Level.NOTICE, "literal_replaces",
            f"The literal user data is all that the guest gets: it replaces {parts}.", "literal",
        )  # fmt: skip
    text = context.literal
    if multipart.is_multipart(text):
        parts_of_it = multipart.read(text)
        if parts_of_it is None:
            sentence = "It looks like a MIME message, but its parts cannot be read as text."
            yield Problem(Level.WARNING, "literal_unread", sentence, "literal")
        for part in parts_of_it or ():
            yield from _part(part, "literal")
        return
    subtype = multipart.guess_subtype(text)
    if subtype:
        yield from _part(Part(subtype, "user-data", text), "literal")
    elif not text.startswith(("Content-Type:", "MIME-Version:")):
        sentence = "Start with #! (a script), #cloud-config, or a MIME multipart header."
        yield Problem(Level.ERROR, "literal_beginning", sentence, "literal")


# one part ------------------------------------------------------------------------------------


def _part(part: Part, where: str) -> Iterator[Problem]:
    if sentence := _type_obstacle(part.subtype):
        yield Problem(Level.ERROR, "subtype_invalid", sentence, where)
        return
    if not multipart.is_name(part.name):
        yield Problem(
            Level.ERROR, "name_invalid",
            f"“{part.name[:60]}” is no name of a file: letters, digits and . _ - + @ or blanks "
            "between them, 100 at most, no folder.", where,
        )  # fmt: skip
    if not part.text.strip():
        yield Problem(Level.ERROR, "part_empty", "There is no text in it.", where)
        return
    yield from _content(part, where)


def _type_obstacle(subtype: str) -> str:
    if subtype.startswith("text/"):
        return f"Write “{subtype[5:]}”: a type is what comes after “text/”."
    if subtype == "ssh":
        return "Keys are no part: choose them under “Who may log in”, or add them as keys."
    if subtype == "none":
        return "Literal user data is no part: put it into the field of that name."
    if not _SUBTYPE.fullmatch(subtype):
        return (
            f"“{subtype[:40]}” is no type: small letters, digits and - . + as in “x-shellscript”."
        )
    return ""


def _content(part: Part, where: str) -> Iterator[Problem]:
    subtype, text = part.subtype, part.text
    if subtype == "plain" and not (subtype := multipart.guess_subtype(text)):
        sentence = "Its first line says nothing that cloud-init knows. Name its type."
        yield Problem(Level.ERROR, "type_unknown", sentence, where)
        return
    if text.startswith("## template: jinja"):
        sentence = (
            "This is a jinja template: the guest fills it in, with what it knows about itself, so "
            "what comes of it cannot be checked here. Guests with cloud-init 18.4 or later do it."
        )
        yield Problem(Level.NOTICE, "jinja", sentence, where)
        return
    if subtype not in modules.SUBTYPES:
        near = difflib.get_close_matches(subtype, modules.SUBTYPES, 1)
        hint = f" Did you mean {near[0]}?" if near else ""
        sentence = f"cloud-init itself does nothing with text/{subtype}.{hint}"
        yield Problem(Level.WARNING, "subtype_unknown", sentence, where)
    elif subtype in modules.SCRIPTS and not text.startswith("#!"):
        sentence = "A script begins with #!, such as “#!/bin/sh”. This one could not be run."
        yield Problem(Level.ERROR, "no_shebang", sentence, where)
    elif subtype == "cloud-config":
        yield from _cloud_config(text, where)
    elif subtype == "cloud-config-archive":
        yield from _archive(text, where)
    elif subtype in modules.INCLUDES:
        yield from _includes(text, where)
    else:
        yield from _programs(subtype, text, where)


def _programs(subtype: str, text: str, where: str) -> Iterator[Problem]:
    if subtype == "cloud-boothook" and "#!" not in text[:200]:
        sentence = "After #cloud-boothook comes a script, and this one has no line with #!."
        yield Problem(Level.WARNING, "no_shebang", sentence, where)
    if subtype == "part-handler" and not ("list_types" in text and "handle_part" in text):
        sentence = "A part handler is Python, with functions list_types and handle_part."
        yield Problem(Level.ERROR, "handler_invalid", sentence, where)
    if subtype == "upstart-job":
        sentence = "Only Ubuntu up to 14.10 has Upstart; other guests leave it alone."
        yield Problem(Level.NOTICE, "upstart", sentence, where)


def _includes(text: str, where: str) -> Iterator[Problem]:
    for number, line in enumerate(text.splitlines(), start=1):
        address = re.sub(r"^#include(-once)?\b", "", line).strip()
        if address and not address.startswith("#") and not _URL.fullmatch(address):
            sentence = f"Line {number} is no address that begins with http:// or https://."
            yield Problem(Level.ERROR, "include_invalid", sentence, where)
            return


def _cloud_config(text: str, where: str) -> Iterator[Problem]:
    parsed, sentence = _yaml(text)
    if not sentence and parsed is not None and not isinstance(parsed, dict):
        sentence = "A #cloud-config is a mapping: key: value."
    if sentence:
        yield Problem(Level.ERROR, "yaml_invalid", sentence, where)
        return
    if not text.startswith("#cloud-config"):
        sentence = "Its first line is not “#cloud-config”; some guests go by that alone."
        yield Problem(Level.NOTICE, "no_header", sentence, where)
    for key in parsed or ():
        if not (isinstance(key, str) and key in modules.KEYS):
            near = difflib.get_close_matches(str(key), modules.KEYS, 1)
            hint = f" Did you mean “{near[0]}”?" if near else ""
            sentence = f"cloud-init knows no key “{str(key)[:40]}” and leaves it alone.{hint}"
            yield Problem(Level.WARNING, "key_unknown", sentence, where)


def _archive(text: str, where: str) -> Iterator[Problem]:
    parsed, sentence = _yaml(text)
    if not sentence and not isinstance(parsed, list):
        sentence = "A #cloud-config-archive is a list: lines that begin with “- ”."
    if sentence:
        yield Problem(Level.ERROR, "yaml_invalid", sentence, where)


def _yaml(text: str) -> tuple[Any, str]:
    """What it says, or why it says nothing."""
    size = len(text.encode())
    if size > LARGEST_YAML_BYTES:
        return None, f"This YAML has {size} bytes; the limit is {LARGEST_YAML_BYTES}."
    try:
        return yamls.load(text), ""
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None)
        where = f" in line {mark.line + 1}" if mark else ""
        return None, f"This is no valid YAML{where}{f': {what}' if what else ''}."


# parts beside each other ---------------------------------------------------------------------


def _together(parts: tuple[Part, ...]) -> Iterator[Problem]:
    for number, part in enumerate(parts, start=1):
        if part.name in [other.name for other in parts[: number - 1]]:
            sentence = f"Two parts are called “{part.name}”: the second would replace the first."
            yield Problem(Level.ERROR, "name_twice", sentence, f"part:{number}")
    run = [part.name for part in parts if part.subtype == "x-shellscript"]
    if run != sorted(run):
        sentence = (
            f"cloud-init runs scripts in the order of their names: {', '.join(sorted(run))}. "
            "Names that begin with 01-, 02-, … keep the order in which they stand here."
        )
        yield Problem(Level.WARNING, "scripts_order", sentence, "parts")
    yield from _overwritten(parts)


def _overwritten(parts: tuple[Part, ...]) -> Iterator[Problem]:
    """Settings that a later part replaces: cloud-init merges only where it is told how."""
    said: dict[str, str] = {}
    for number, part in enumerate(parts, start=1):
        settings = _settings(part)
        if {"merge_how", "merge_type"} & settings.keys():
            return
        for key in settings:
            if key in said:
                sentence = (
                    f"“{key}” is in {said[key]} too, and this replaces what is there. To have "
                    "both, say merge_how in this part, or make one part of the two."
                )
                yield Problem(Level.WARNING, "key_replaced", sentence, f"part:{number}")
            said[key] = part.name


def _settings(part: Part) -> Mapping[str, Any]:
    if part.subtype != "cloud-config" or part.text.startswith("## template: jinja"):
        return {}
    parsed, _ = _yaml(part.text)
    return {str(key): value for key, value in parsed.items()} if isinstance(parsed, dict) else {}
