"""An order for an image that is created by itself."""

import shlex
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from cloud.types import DiskBus
from marketplace.models import Entry
from registration.forms.base import BOUNDS, Form, text
from registration.models import SshKey, User
from vms import building
from vms.actions.building import LONGEST_START_MINUTES, LONGEST_STEP_MINUTES, BuildOrder
from vms.actions.saving import (
    LONGEST_AUTHOR,
    LONGEST_COMMENT,
    LONGEST_TITLE,
    LONGEST_VERSION,
    Image,
)
from vms.building import INSTALLERS, MOST_SCRIPTS, Recipe, Script
from vms.building.recipe import LARGEST_TEXT_BYTES
from vms.forms.disks import DiskOffer, DisksField
from vms.models import InstanceType
from volumes.models import Volume

#: Of scripts, shown when the page is opened; with JavaScript there can be more.
ROWS = 2
_CODE = {"spellcheck": "false", "autocapitalize": "off", "class": "font-monospace"}


class LinesField(forms.CharField):
    """Words in several lines; blank lines count for nothing."""

    widget = forms.Textarea

    def __init__(self, *, rows: int, **kwargs: Any) -> None:
        super().__init__(
            required=False, max_length=40_000,
            widget=forms.Textarea(attrs={"rows": rows, **_CODE}), **kwargs,
        )  # fmt: skip

    def to_python(self, value: Any) -> tuple[str, ...]:  # type: ignore[override]
        lines = (super().to_python(value) or "").splitlines()
        return tuple(line.strip() for line in lines if line.strip())

    def run_validators(self, value: Any) -> None:
        super().run_validators("\n".join(value))

    def prepare_value(self, value: Any) -> Any:
        return value if isinstance(value, str) else "\n".join(value or ())


class PackagesField(LinesField):
    """Names with commas, spaces or ends of lines between them."""

    def to_python(self, value: Any) -> tuple[str, ...]:  # type: ignore[override]
        lines = super().to_python((value or "").replace(",", " "))
        return tuple(dict.fromkeys(word for line in lines for word in line.split()))


class TextField(forms.CharField):
    """A text as a shell reads it: the ends of its lines are those of Unix."""

    def __init__(self, *, rows: int, **kwargs: Any) -> None:
        attrs = {"rows": rows, **_CODE}
        super().__init__(required=False, strip=False, widget=forms.Textarea(attrs=attrs), **kwargs)

    def to_python(self, value: Any) -> str:
        return str(super().to_python(value) or "").replace("\r\n", "\n")


class ScriptForm(Form):
    """One script: a file, or a text; blank rows count for nothing."""

    position = forms.IntegerField(label="Place", required=False, min_value=1, max_value=999)
    name = forms.CharField(label="Name", required=False, max_length=60)
    arguments = forms.CharField(
        label="Arguments", required=False, max_length=4000,
        widget=forms.TextInput(attrs={"spellcheck": "false", "autocomplete": "off"}),
    )  # fmt: skip
    file = forms.FileField(label="A file", required=False, allow_empty_file=True)
    text = TextField(label="Or its text", rows=5)

    def clean_arguments(self) -> tuple[str, ...]:
        try:
            return tuple(shlex.split(self.cleaned_data["arguments"]))
        except ValueError:
            raise ValidationError("A quotation mark is not closed.") from None

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if not name.isprintable():
            raise ValidationError("A name has no control characters.")
        return name

    @property
    def is_blank(self) -> bool:
        return not self.cleaned_data.get("text", "").strip()

    def script(self, number: int) -> Script:
        data = self.cleaned_data
        name = data["name"] or f"script-{number}"
        return Script(name=name, text=data["text"], arguments=data["arguments"])


class BuildForm(Form):
    """The page of a new build. Valid as it comes but for what the image is to be called."""

    create_key = forms.UUIDField(widget=forms.HiddenInput)
    title = text("Title", "off", LONGEST_TITLE, missing="Say what the image is called.")
    comment = text("Comment", "off", LONGEST_COMMENT, widget=forms.Textarea, attrs={"rows": 2},
                   missing="Say what is in it, and what it is for.")  # fmt: skip
    author = text("Author", "name", LONGEST_AUTHOR, missing="Say who makes the image.")
    email = forms.EmailField(
        label="E-mail address of the author", max_length=254,
        error_messages={"required": "The author's address is where the draft entry is sent."},
    )  # fmt: skip
    version = text("Version", "off", LONGEST_VERSION, missing="Give the image a version.")
    type_name = forms.ModelChoiceField(
        InstanceType.objects.none(), label="Size of the machine", to_field_name="name",
        empty_label=None,
    )  # fmt: skip
    keys = forms.ModelMultipleChoiceField(
        SshKey.objects.none(), label="SSH keys for a look at the machine", required=False,
        widget=forms.CheckboxSelectMultiple,
    )  # fmt: skip
    installer = forms.ChoiceField(
        label="Installer", required=False,
        choices=[("", "None: no packages"),
                 *((key, f"{key} ({one.systems})") for key, one in INSTALLERS.items())],
    )  # fmt: skip
    repositories = LinesField(
        label="Extra repositories", rows=2,
        help_text="One a line: an address; for apt also a line as in sources.list (deb …); for dnf "
        "and yum also that of a .repo file. They stay in the image.",
    )  # fmt: skip
    packages = PackagesField(
        label="Packages",
        rows=3,
        help_text="Names with spaces, commas or new lines between them: nginx, postgresql-15.",
    )
    prerecipe = TextField(
        label="Prerecipe", rows=4,
        help_text="Lines of shell, before packages are installed: mount a disk, set a proxy. The "
        "first line that fails ends the step. Begin with #! for another language.",
    )  # fmt: skip
    recipe = TextField(label="Recipe", rows=6, help_text="The same, after packages are installed.")
    excludes = LinesField(
        label="Removed at the end", rows=8,
        help_text="Paths, with * ? [ ] as in a shell. They are deleted as the last step, and the "
        "disk is told that their bytes are free.",
    )  # fmt: skip
    disks = DisksField(label="Disks to read from", required=False)
    start_minutes = forms.IntegerField(
        label="Minutes until its guest begins", min_value=1, max_value=LONGEST_START_MINUTES,
        initial=10, help_text="Counted from the start of the machine.",
    )  # fmt: skip
    step_minutes = forms.IntegerField(
        label="Minutes for each step", min_value=1, max_value=LONGEST_STEP_MINUTES, initial=60
    )
    keep_running = forms.BooleanField(
        label="Keep the machine running when all steps have succeeded", required=False,
        help_text="You look at it, then save it. By then your keys have been removed from it: use "
        "its console.",
    )  # fmt: skip

    def __init__(
        self, data: Any = None, files: Any = None, *, user: User, entry: Entry,
        buses: Sequence[str], again: Mapping[str, Any] | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        self.user, self.entry, self.buses = user, entry, buses
        self.unread: dict[int, str] = {}
        if data is not None:
            data = data.copy()
            self._take_files(data, files or {})
        super().__init__(data, **kwargs)
        types = InstanceType.objects.offered_to(user)
        _rows(self, "type_name", types)
        _rows(self, "keys", SshKey.objects.filter(owner=user))
        self.fields["email"].error_messages |= BOUNDS
        self.initial = self._defaults(list(types)) | _answers(again or {})
        wanted = data.getlist("disks") if data is not None else (again or {}).get("disks", ())
        self.offer = DiskOffer(user, wanted=[_read(word) for word in wanted], root_disk=None)
        self.scripts = list(self._script_forms((again or {}).get("scripts", ())))

    def _defaults(self, types: Sequence[InstanceType]) -> dict[str, Any]:
        user, entry = self.user, self.entry
        chosen = [one for one in types if one.name == user.default_instance_type]
        chosen += [one for one in types if one.is_default]
        fitting = [one for one in [*chosen, *types] if one.memory_mib >= entry.min_memory_mib]
        keys = SshKey.objects.filter(owner=user, is_default=True)
        return {
            "create_key": uuid.uuid4(),
            "title": entry.title,
            "author": user.get_full_name() or user.username,
            "email": user.email,
            "version": building.next_version(entry.version),
            "type_name": fitting[0].name if fitting else None,
            "keys": [key.pk for key in keys],
            "installer": building.guess(entry.os, entry.os_version),
            "excludes": building.DEFAULT_EXCLUDES,
            "start_minutes": 10,
            "step_minutes": 60,
        }

    def _take_files(self, data: Any, files: Mapping[str, Any]) -> None:
        """What was uploaded comes back as text, should something else be wrong."""
        for number in range(_count(data)):
            file = files.get(f"script-{number}-file")
            if not file:
                continue
            content = file.read(LARGEST_TEXT_BYTES + 1)
            name = file.name or "file"
            try:
                data[f"script-{number}-text"] = content.decode().removeprefix("\ufeff")
            except UnicodeDecodeError:
                self.unread[number] = f"{name[:60]} is no text. A script is a text in UTF-8."
                continue
            if not data.get(f"script-{number}-name"):
                data[f"script-{number}-name"] = name[:60]

    def _script_forms(self, again: Sequence[Mapping[str, Any]]) -> Iterator[ScriptForm]:
        count = _count(self.data) if self.is_bound else max(ROWS, len(again) + 1)
        for number in range(min(count, MOST_SCRIPTS)):
            first: dict[str, Any] = {"position": number + 1}
            if number < len(again):
                one = again[number]
                first |= {"name": one["name"], "text": one["text"],
                          "arguments": shlex.join(one["arguments"])}  # fmt: skip
            data = self.data if self.is_bound else None
            yield ScriptForm(data, initial=first, prefix=f"script-{number}")

    @property
    def blank_script(self) -> ScriptForm:
        """What the page makes more rows of."""
        return ScriptForm(prefix="script-__n__")

    def clean_disks(self) -> list[tuple[Volume, bool]]:
        return self.offer.chosen(self.cleaned_data["disks"])

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        for number, form in enumerate(self.scripts):
            if sentence := self.unread.get(number):
                form.add_error("file", sentence)
            for name, sentences in form.errors.items():
                label = form.fields[name].label if name in form.fields else ""
                self.add_error(None, f"Script {number + 1}, {label}: {sentences[0]}")
        for field, sentence in building.problems(self.asked()):
            if field not in self.errors:
                self.add_error(field if field in self.fields else None, sentence)
        return data

    def asked(self) -> Recipe:
        """The steps that the answers ask for."""
        data = self.cleaned_data
        filled = [form for form in self.scripts if form.is_valid() and not form.is_blank]
        filled.sort(key=lambda form: form.cleaned_data["position"] or 999)
        return Recipe(
            prerecipe=data.get("prerecipe", ""),
            installer=data.get("installer", ""),
            repositories=data.get("repositories", ()),
            packages=data.get("packages", ()),
            recipe=data.get("recipe", ""),
            scripts=tuple(form.script(number) for number, form in enumerate(filled, 1)),
            excludes=data.get("excludes", ()),
        )

    def order(self) -> BuildOrder:
        """The valid answers as what ``actions.build`` takes."""
        data = self.cleaned_data
        size: InstanceType = data["type_name"]
        names = ("title", "comment", "author", "email", "version")
        bus = self.entry.disks_bus
        return BuildOrder(
            entry=self.entry,
            image=Image(**{name: data[name] for name in names}),
            recipe=self.asked(),
            type_name=size.name,
            vcpus=size.vcpus,
            memory_mib=size.memory_mib,
            swap_mib=size.swap_mib,
            disks=[disk for disk, _ in data["disks"]],
            disk_bus=bus if bus in self.buses else str(DiskBus.VIRTIO),
            ssh_keys=[key.public_key for key in data["keys"]],
            start_minutes=data["start_minutes"],
            step_minutes=data["step_minutes"],
            keep_running=data["keep_running"],
            create_key=data["create_key"],
        )


def _answers(again: Mapping[str, Any]) -> dict[str, Any]:
    """What a recipe that was kept says, for fields of the same names."""
    return {name: value for name, value in again.items() if name not in ("scripts", "disks")}


def _read(word: str) -> str:
    """Disks come along to be read, whatever is asked."""
    return f"{word.partition(':')[0]}:read"


def _count(data: Any) -> int:
    """How many rows of scripts were sent."""
    sent = str(data.get("scripts") or "")
    return (
        min(int(sent), MOST_SCRIPTS) if sent.isascii() and sent.isdecimal() and len(sent) < 4 else 0
    )


def _rows(form: forms.Form, name: str, rows: Any) -> None:
    form.fields[name].queryset = rows  # type: ignore[attr-defined]
