"""The disks of an order: which a person may choose, and which they chose."""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import UUID

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from registration.models import User
from vms.disks import Choice, choices
from volumes.models import BOOTABLE, Volume
from volumes.states import VolumeState

#: Offered by name; more are chosen from the disk's own page. Latest first.
MOST_OWN, MOST_SHARED, MOST_PUBLIC = 100, 50, 20
WRITE, READ = "write", "read"


@dataclass(frozen=True, slots=True)
class Line:
    """One disk of the form. ``how`` is what is chosen: WRITE, READ, or "" for not at all."""

    choice: Choice
    how: str

    @property
    def volume(self) -> Volume:
        return self.choice.volume

    @property
    def is_chosen(self) -> bool:
        return bool(self.how)


@dataclass(frozen=True, slots=True)
class Group:
    """Disks of one's own, shared, or public ones; ``more`` are not shown."""

    label: str
    lines: Sequence[Line]
    more: int

    @property
    def total(self) -> int:
        return len(self.lines) + self.more

    @property
    def has_chosen(self) -> bool:
        return any(line.is_chosen for line in self.lines)


class DisksField(forms.Field):
    """Words ``<uuid>:write`` and ``<uuid>:read``; blank ones are disks that were not chosen."""

    widget = forms.SelectMultiple

    def to_python(self, value: Any) -> list[tuple[UUID, bool]]:
        """UUIDs, each with whether it is to be read only."""
        return [self._read(word) for word in value or () if word]

    @staticmethod
    def _read(word: str) -> tuple[UUID, bool]:
        key, _, how = word.partition(":")
        if how not in (WRITE, READ):
            raise ValidationError("Choose for each disk: read and write, or read only.")
        try:
            return UUID(key), how == READ
        except ValueError:
            raise ValidationError("This names no disk.") from None


class SizesField(forms.CharField):
    """Whole numbers, with anything but digits between them."""

    def to_python(self, value: Any) -> list[int]:  # type: ignore[override]
        text = super().to_python(value) or ""
        if re.search(r"[^\d,;\s]", text) or not text.isascii():
            raise ValidationError("Sizes are whole numbers of GiB, such as “10” or “10, 20”.")
        return [int(digits) for digits in re.findall(r"\d+", text)]


class DiskOffer:
    """What the form offers ``user``, and what it makes of their answer.

    ``wanted`` are words of the field, or plain UUIDs: of these disks at first, to write to
    where that may be. They are offered wherever they stand in the lists.
    """

    def __init__(self, user: User, *, wanted: Sequence[str], root_disk: Volume | None) -> None:
        self.user, self.root_disk = user, root_disk
        self.missing: Sequence[UUID] = ()  # what the answer named, and is not there for them
        self._how: dict[UUID, str] = {}
        for key, _, how in (word.partition(":") for word in wanted):
            with suppress(ValueError):
                self._how[UUID(key)] = how

    def chosen(self, answer: Sequence[tuple[UUID, bool]]) -> list[tuple[Volume, bool]]:
        """The disks that an answer names, as far as this person sees them.

        Raises:
            ValidationError: one is not there for them, or is named twice.
        """
        keys = [key for key, _ in answer]
        if len(set(keys)) < len(keys):
            raise ValidationError("A disk is chosen twice.")
        found = {disk.uuid: disk for disk in self._visible().filter(uuid__in=keys)}
        self.missing = sorted(set(keys) - set(found))
        if self.missing:
            raise ValidationError(
                "A disk that you chose is not there any more, or not for you. Choose again."
            )
        return [(found[key], is_read_only) for key, is_read_only in answer]

    def groups(self) -> list[Group]:
        """Every disk that can be chosen now."""
        return [
            Group(label, [line for line in lines if line.choice.is_open], more)
            for label, lines, more in self._all
            if more or any(line.choice.is_open for line in lines)
        ]

    def closed(self) -> list[Choice]:
        """Those that cannot: their reasons say why."""
        return [
            line.choice for _, lines, _ in self._all for line in lines if not line.choice.is_open
        ]

    @cached_property
    def _all(self) -> list[tuple[str, list[Line], int]]:
        held = Volume.objects.held().listed()
        own = held.filter(owner=self.user)
        shared = held.shared_with(self.user)
        public = held.public_of_others(self.user).exclude(pk__in=shared.values("pk"))
        parts = [
            ("My disks", *self._first(own, MOST_OWN)),
            ("Shared with me", *self._first(shared, MOST_SHARED)),
            ("Public disks", *self._first(public, MOST_PUBLIC)),
        ]
        found = {disk.pk: disk for _, disks, _ in parts for disk in disks}
        may = {one.volume.pk: one for one in choices(list(found.values()), self.user)}
        return [(label, [self._line(may[disk.pk]) for disk in disks], more)
                for label, disks, more in parts]  # fmt: skip

    def _first(self, rows: "QuerySet[Volume]", most: int) -> tuple[list[Volume], int]:
        """The latest of them, those that are wanted before; and how many more there are."""
        rows = rows.select_related("owner").exclude(type__in=BOOTABLE)
        if self.root_disk:
            rows = rows.exclude(pk=self.root_disk.pk)
        rows = rows.exclude(state__in=(VolumeState.FAILED, VolumeState.CLEARING))
        wanted = list(rows.filter(uuid__in=self._how))
        others = rows.exclude(pk__in=[disk.pk for disk in wanted]).order_by("-pk")
        listed = list(others[: most + 1])
        more = others.count() - most if len(listed) > most else 0
        return wanted + listed[:most], more

    def _line(self, choice: Choice) -> Line:
        key = choice.volume.uuid
        if key not in self._how or not choice.is_open:
            return Line(choice, "")
        how = self._how[key] or (READ if choice.write else WRITE)
        return Line(choice, "" if how == WRITE and choice.write else how)

    def _visible(self) -> "QuerySet[Volume]":
        return Volume.objects.visible_to(self.user).select_related("owner")
