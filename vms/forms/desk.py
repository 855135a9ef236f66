"""What a person does to a contextualization that is being filled in, before it is sent.

Every button of it works without script: it sends the form, and the page comes back changed.
"""

from typing import Any

from django.http import QueryDict

from vms.context import (
    BadPair,
    Context,
    Part,
    Unreadable,
    read_cloud_init_txt,
    read_pairs,
    read_parts,
    write_pairs,
)
from vms.forms.context import (
    PART_FIELDS,
    Files,
    from_file,
    initial_of,
    named,
    rows_of,
    text_of,
)


class Desk:
    """The answers of a form that is being filled in, as lists that can be changed."""

    def __init__(self, data: QueryDict, files: Files) -> None:
        self.data, self.files = data.copy(), files
        self.moved = 0  # the number of the part that was moved
        self.is_open = True  # the form is not to be sent yet
        self.said = ""  # what was done, for who cannot see it
        read = [from_file(file) for file in files.getlist("part_files")]
        self.parts = rows_of(self.data) + [one for one in read if isinstance(one, Part)]
        self.refusal = " ".join(one for one in read if isinstance(one, str))

    def do(self, what: str) -> None:
        """``add``, ``open`` a file, ``up:2`` (the second part), ``down:2``, ``drop:2``."""
        verb, _, number = what.partition(":")
        place = int(number) - 1 if number.isdecimal() and len(number) < 4 else -1
        if verb == "add":
            self.parts.append(Part("", "", ""))
            self.said = f"Part {len(self.parts)} is new."
        elif verb == "open":
            self._open()
        elif 0 <= place < len(self.parts):
            self._rearrange(verb, place)
        self.write()

    def _rearrange(self, verb: str, place: int) -> None:
        part = self.parts.pop(place)
        if verb == "drop":
            self.said = f"Part {place + 1}, {part.name}, is removed."
            return
        place = max(place - 1, 0) if verb == "up" else min(place + 1, len(self.parts))
        self.parts.insert(place, part)
        self.moved = place + 1
        self.said = f"{part.name or 'The part'} is part {place + 1} of {len(self.parts)} now."

    def _open(self) -> None:
        for file in self.files.getlist("context_file"):
            try:
                self._take(text_of(file))
            except (Unreadable, BadPair) as error:
                self.refusal = f"{file.name}: {error}"
            else:
                self.said = f"{file.name} is in the form. Look it through, then go on."
            return
        self.refusal = "Choose a file first."

    def _take(self, text: str) -> None:
        if "CONTEXT_METHOD=cloud-init" not in text.replace(" ", ""):
            self.data["pairs"] = write_pairs(read_pairs(text))
            return
        lines, told = read_cloud_init_txt(text)
        parts = read_parts(told)
        self.put(Context(parts=parts or (), literal="" if parts else told))
        if lines:
            self.data["extra_keys"] = "\n".join(lines)
            self.data["without_key"] = ""

    def put(self, context: Context) -> None:
        """In place of what is there."""
        fields: dict[str, Any] = initial_of(context)
        self.parts = fields.pop("parts")
        for name, value in fields.items():
            self.data[name] = value

    def add(self, context: Context) -> None:
        """Beside what is there: parts after the others, pairs over those of the same name."""
        self.parts += [part for part in context.parts if part not in self.parts]
        fields = initial_of(context)
        for name in ("context_method", "user_data", "script_exec"):
            if fields[name]:
                self.data[name] = fields[name]
        if fields["pairs"]:
            self.data["pairs"] = (
                f"{str(self.data.get('pairs', '')).rstrip()}\n{fields['pairs']}".lstrip()
            )

    def write(self) -> None:
        """Into the answers. A private key that was taken for a public one goes no further."""
        for name in ("extra_keys", "new_key"):
            if "PRIVATE KEY" in str(self.data.get(name, "")):
                self.data[name] = ""
                self.refusal = "That was a private key: it is not kept. Paste the public half."
        rows = named(self.parts)
        columns = ([row.subtype for row in rows], [row.name for row in rows],
                   [row.text for row in rows])  # fmt: skip
        for name, column in zip(PART_FIELDS, columns, strict=True):
            self.data.setlist(name, column)
