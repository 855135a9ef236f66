"""A table of machines, judged: what each cell names, what is wrong with it, and the orders."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from uuid import UUID, uuid5

from django.conf import settings

from cloud.types import DiskBus
from core.errors import Refused
from marketplace.addresses import Elsewhere, entries_at
from marketplace.identifiers import is_identifier
from marketplace.models import Entry, EntryQuerySet
from registration import keys
from registration.models import SshKey, User
from vms import actions
from vms.actions import Order
from vms.actions.images import House, obstacle
from vms.batches.tables import Row
from vms.context import Context, from_json
from vms.models import CloudStatus, InstanceType, Recipe
from vms.quota import Use, machine_use, over_quota_together
from volumes import actions as volumes
from volumes.models import Volume

#: Different images of one table: each is looked for.
MOST_IMAGES = 20
#: Titles that are named beside one that no image has.
MOST_NEAR = 3
NO_KEY = "none"
_HOW = {"": False, "write": False, "rw": False, "read": True, "ro": True}


class Wrong(Exception):
    """A cell is wrong; ``str`` says how."""


@dataclass(slots=True)
class Checked:
    """A row, what is wrong with it by column, and the order if nothing is."""

    row: Row
    errors: dict[str, str] = field(default_factory=dict)
    order: Order | None = None

    @property
    def cells(self) -> list[tuple[str, str, str]]:
        """Column, text and error, for the page."""
        return [(name, text, self.errors.get(name, "")) for name, text in self.row.cells.items()]

    @property
    def other_error(self) -> str:
        """What is wrong with the row as a whole."""
        return self.errors.get("", "")


@dataclass(frozen=True, slots=True)
class Total:
    """One line of the quota: what is held, what these machines need, and the limit."""

    use: Use
    needs: int

    @property
    def is_over(self) -> bool:
        return self.use.used + self.needs > self.use.limit


class Table:
    """Rows as one person means them. ``key`` is the batch's: the machines' follow from it."""

    def __init__(self, rows: Sequence[Row], *, owner: User, hosts: Sequence[str], key: UUID):
        self.rows, self.owner, self.hosts, self.key = rows, owner, hosts, key

    @cached_property
    def checked(self) -> list[Checked]:
        judged = [self._judge(row) for row in self.rows]
        self._share_disks(judged)
        return judged

    @property
    def orders(self) -> list[Order]:
        return [one.order for one in self.checked if one.order]

    @property
    def left_out(self) -> list[actions.LeftOut]:
        """Rows that are wrong, as a batch keeps them."""
        return [
            actions.LeftOut(one.row.number, one.row.cell("name"), " ".join(one.errors.values()))
            for one in self.checked
            if one.order is None
        ]

    @property
    def wrong(self) -> int:
        return sum(one.order is None for one in self.checked)

    def note(self, refused: actions.RowsRefused) -> None:
        """Put refusals of the launch beside their rows."""
        sent = [one for one in self.checked if one.order]
        for number, why in refused.rows.items():
            column = "disks" if why.field == "disks" else ""
            sent[number - 1].errors[column] = str(why)

    @cached_property
    def use(self) -> list[Use]:
        return machine_use(self.owner)

    @property
    def totals(self) -> list[Total]:
        needs = {
            "machines": len(self.orders),
            "vcpus": sum(order.vcpus for order in self.orders),
            "memory": sum(order.memory_mib for order in self.orders),
        }
        return [Total(line, needs[line.name]) for line in self.use]

    @property
    def over(self) -> str:
        """Why they do not fit together, or ""."""
        return str(over_quota_together(self.use, self.orders) or "") if self.orders else ""

    def _judge(self, row: Row) -> Checked:
        found: dict[str, Any] = {}
        checked = Checked(row)
        for column, read in (
            ("name", self._name), ("image", self._image), ("type", self._type),
            ("disks", self._disks), ("keys", self._keys), ("recipe", self._recipe),
        ):  # fmt: skip
            try:
                found[column] = read(row)
            except Wrong as wrong:
                checked.errors[column] = str(wrong)
        if not checked.errors:
            order = self._order(row, found)
            if reason := actions.too_small(order.entry, order) or actions.too_large(
                self._status, order
            ):
                checked.errors["type"] = reason
            else:
                checked.order = order
        return checked

    def _order(self, row: Row, found: Mapping[str, Any]) -> Order:
        size: InstanceType = found["type"]
        entry: Entry = found["image"]
        offered = (self._status.disk_buses if self._status else []) or [str(DiskBus.VIRTIO)]
        return Order(
            entry=entry,
            name=found["name"],
            type_name=size.name,
            vcpus=size.vcpus,
            memory_mib=size.memory_mib,
            swap_mib=size.swap_mib,
            disks=found["disks"],
            disk_bus=entry.disks_bus if entry.disks_bus in offered else str(DiskBus.VIRTIO),
            ssh_keys=found["keys"],
            context=found["recipe"],
            launch_key=uuid5(self.key, str(row.number)),
        )

    def _share_disks(self, judged: Sequence[Checked]) -> None:
        """A disk that one row writes to is in no other row."""
        taken: dict[int, tuple[int, bool]] = {}
        for one in judged:
            for disk, read_only in one.order.disks if one.order else ():
                number, was_read_only = taken.setdefault(disk.pk, (one.row.number, read_only))
                if number != one.row.number and not (read_only and was_read_only):
                    one.errors["disks"] = (
                        f"{disk} is in row {number} too, and a disk that is written to is in one "
                        "machine only. Write “:read” behind it in both rows, or copy the disk."
                    )
            if one.errors:
                one.order = None

    # One cell each ------------------------------------------------------------------------

    @staticmethod
    def _name(row: Row) -> str:
        name = row.cell("name")
        if not name:
            raise Wrong("The name is missing.")
        if len(name) > 80:
            raise Wrong(f"A name has at most 80 characters; this has {len(name)}.")
        if not name.isprintable():
            raise Wrong("A name has no control characters or line breaks.")
        return name

    def _image(self, row: Row) -> Entry:
        text = row.cell("image")
        if not text:
            raise Wrong("The image is missing: its identifier, address, tag or title.")
        found = self._images.get(text)
        if isinstance(found, Entry):
            return found
        raise Wrong(found or f"There are more than {MOST_IMAGES} images in the table.")

    @cached_property
    def _images(self) -> dict[str, Entry | str]:
        """By what a cell says: the entry to start from, or why there is none."""
        words = list(dict.fromkeys(row.cell("image") for row in self.rows if row.cell("image")))
        found: dict[str, list[Entry] | str] = {}
        for word in words[:MOST_IMAGES]:
            found[word] = self._entries(word)
        everything = [entry for rows in found.values() if isinstance(rows, list) for entry in rows]
        house = House.about(everything, by=self.owner)
        return {
            word: rows if isinstance(rows, str) else _best(rows, house)
            for word, rows in found.items()
        }

    def _entries(self, word: str) -> list[Entry] | str:
        """The entries of the one image that a word names, the best first; or why there is none."""
        newest = Entry.objects.visible_to(self.owner).newest().best_first()
        if is_identifier(word) or "/" in word:
            try:
                rows = list(entries_at(word, user=self.owner, hosts=self.hosts)[:50])
            except Elsewhere:
                return "This address is another site's: import its metadata document first."
            except Refused:
                rows = []
            if rows or is_identifier(word):
                return rows or "There is no such image in the Marketplace."
        rows = list(newest.filter(alternative__iexact=word)[:50])
        rows = rows or list(newest.filter(title__iexact=word)[:50])
        if not rows:
            return _unknown(word, newest)
        if (images := len({entry.identifier for entry in rows})) > 1:
            return f"{images} images are called “{word}”: write the identifier of the one you mean."
        return rows

    def _type(self, row: Row) -> InstanceType:
        name = row.cell("type") or self._usual_type
        if not name:
            raise Wrong("The site has no default size: write one.")
        if name not in self._types:
            raise Wrong(f"There is no size “{name}”: choose of {', '.join(self._types) or 'none'}.")
        return self._types[name]

    @cached_property
    def _types(self) -> dict[str, InstanceType]:
        return {size.name: size for size in InstanceType.objects.offered_to(self.owner)}

    @cached_property
    def _usual_type(self) -> str:
        if self.owner.default_instance_type in self._types:
            return self.owner.default_instance_type
        usual = (name for name, size in self._types.items() if size.is_default)
        return next(usual, next(iter(self._types), ""))

    def _disks(self, row: Row) -> list[tuple[Volume, bool]]:
        chosen: dict[int, tuple[Volume, bool]] = {}
        for word in row.words("disks"):
            disk, read_only = self._disk(word)
            if disk.pk in chosen:
                raise Wrong(f"{disk} is there twice.")
            refused = volumes.obstacle(
                disk, self._standings[disk.pk], by=self.owner, read_only=read_only
            )
            if refused:
                raise Wrong(str(refused))
            chosen[disk.pk] = (disk, read_only)
        if len(chosen) > volumes.MOST_DISKS:
            raise Wrong(f"A machine has {volumes.MOST_DISKS} disks at most.")
        return list(chosen.values())

    def _disk(self, word: str) -> tuple[Volume, bool]:
        name, colon, how = word.rpartition(":")
        if not colon or how.strip().lower() not in _HOW:
            name, how = word, ""
        name = name.strip()
        found = [disk for disk in self._all_disks if name in (str(disk.uuid), disk.tag)]
        exact = [disk for disk in found if str(disk.uuid) == name.lower()]
        found = exact or [disk for disk in found if disk.owner_id == self.owner.pk] or found
        if not found:
            raise Wrong(f"You have no disk “{name}”: write its tag, or its UUID.")
        if len(found) > 1:
            raise Wrong(f"{len(found)} disks have the tag “{name}”: write the UUID.")
        return found[0], _HOW[how.strip().lower()]

    @cached_property
    def _all_disks(self) -> list[Volume]:
        """Those that any cell may mean."""
        words = [word for row in self.rows for word in row.words("disks")]
        names = {part for word in words for part in (word, word.rpartition(":")[0].strip())}
        keys = set()
        for name in names:
            try:
                keys.add(UUID(name))
            except ValueError:
                continue
        visible = Volume.objects.visible_to(self.owner).listed().select_related("owner")
        by_key, by_tag = visible.filter(uuid__in=keys), visible.filter(tag__in=names - {""})
        return list((by_key | by_tag).distinct()) if names else []

    @cached_property
    def _standings(self) -> Mapping[int, volumes.Standing]:
        return volumes.standings(self._all_disks, self.owner)

    def _keys(self, row: Row) -> list[str]:
        words = row.words("keys")
        if [word.lower() for word in words] == [NO_KEY]:
            return []
        if not words:
            usual = [key.public_key for key in self._own_keys if key.is_default]
            if not usual:
                raise Wrong(f"You have no default SSH key: name one of yours, or write “{NO_KEY}”.")
            return usual
        return list(dict.fromkeys(self._key(word) for word in words))

    def _key(self, word: str) -> str:
        for key in self._own_keys:
            if word in (key.name, key.fingerprint):
                return key.public_key
        if " " not in word:
            raise Wrong(f"You have no SSH key “{word}”: write a name of yours, or a public key.")
        try:
            return keys.read(word).line
        except Refused as refused:
            raise Wrong(str(refused)) from None

    @cached_property
    def _own_keys(self) -> list[SshKey]:
        return list(SshKey.objects.filter(owner=self.owner))

    def _recipe(self, row: Row) -> Context:
        name = row.cell("recipe")
        if not name:
            return Context()
        found = [recipe for recipe in self._recipes if recipe.name == name]
        own = [recipe for recipe in found if recipe.owner_id == self.owner.pk]
        found = own or found
        if not found:
            raise Wrong(f"There is no recipe “{name}” for you.")
        if len(found) > 1:
            raise Wrong(f"{len(found)} recipes are called “{name}”: copy one under another name.")
        return from_json(found[0].method, found[0].context)

    @cached_property
    def _recipes(self) -> list[Recipe]:
        names = {row.cell("recipe") for row in self.rows} - {""}
        if not names:
            return []
        return list(Recipe.objects.visible_to(self.owner).filter(name__in=names))

    @cached_property
    def _status(self) -> CloudStatus | None:
        return CloudStatus.objects.filter(cloud=settings.DEFAULT_CLOUD).first()


def _unknown(word: str, rows: EntryQuerySet) -> str:
    """That no image is called so, and which are called nearly so."""
    said = f"There is no image with the identifier, tag or title “{word}”."
    near = rows.filter(title__icontains=word).values_list("title", flat=True)[:50]
    titles = list(dict.fromkeys(near))[:MOST_NEAR]
    return (
        f"{said} Did you mean {' or '.join(f'“{title}”' for title in titles)}?" if titles else said
    )


def _best(rows: Sequence[Entry], house: House) -> Entry | str:
    refusals = []
    for entry in rows:
        refused = obstacle(entry, house)
        if refused is None:
            return entry
        refusals.append(str(refused))
    return refusals[0]
