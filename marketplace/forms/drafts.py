"""What a person says of an image. Every field comes filled in as far as it is known."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time
from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.utils import timezone

from cloud.types import DiskBus
from core.errors import Refused
from marketplace.actions.drafts import LONGEST_URL
from marketplace.actions.endorsing import LONGEST, SIX_MONTHS, end_of_validity
from marketplace.composing import Said, compose, has_own_file, own_locations, usual_publisher
from marketplace.documents import Metadata
from marketplace.models import Draft
from marketplace.states import Compression, DraftSource, Kind
from registration.forms.base import Form, text

MOST_LOCATIONS = 10
MOST_PORTS = 100
LONGEST_DESCRIPTION = 10_000
#: What StratusLab's tools know: others are written as well.
TYPES = (("base", "base"), ("grid", "grid"))
HYPERVISORS = (("kvm", "KVM"), ("xen", "Xen"))
#: Answered before an image from scratch is given to others. Source: stratuslab.md 7.5.
RULES = (
    ("context", "It takes its contextualization: cloud-init, or the portal's own script, sets keys "
     "and host name at the first boot."),
    ("network", "It takes its address by DHCP, and keeps no rules of udev that tie a network card "
     "to the machine that it was built on."),
    ("private", "It has no private data: no password, no private key, no host key of SSH, no "
     "history of a shell, nothing of mine."),
    ("keys", "It is entered with SSH keys alone: no account has a password."),
    ("firewall", "Its firewall closes the ports that it does not use."),
    ("small", "It has the software that it needs and no more, with all updates."),
)  # fmt: skip
_ARCHITECTURES = ("x86_64", "aarch64", "i686", "none")
_SYSTEMS = ("Debian", "Ubuntu", "CentOS", "Rocky", "AlmaLinux", "Fedora", "openSUSE", "Alpine",
            "FreeBSD", "none")  # fmt: skip
_SUFFIXES = {".gz": Compression.GZIP, ".bz2": Compression.BZIP2, ".xz": Compression.XZ,
             ".zst": Compression.ZSTD}  # fmt: skip
_UNPACKED = (".img", ".raw", ".qcow2", ".iso", ".vmdk", ".vdi")
_SCHEMES = frozenset({"http", "https", "ftp", "pdisk"})
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}\Z")
_TEXT = {"spellcheck": "false", "autocapitalize": "off"}


class NumbersField(forms.CharField):
    """Numbers between blanks or commas: "22, 80"."""

    def __init__(self, *, least: int, most: int, **kwargs: Any) -> None:
        super().__init__(max_length=1000, required=False, **kwargs)
        self.least, self.most = least, most

    def clean(self, value: Any) -> tuple[int, ...]:
        words = re.split(r"[\s,;]+", super().clean(value).strip())
        found = []
        for word in filter(None, words):
            if not re.fullmatch(r"[0-9]{1,6}", word) or not self.least <= int(word) <= self.most:
                raise forms.ValidationError(
                    f"{word[:20]!r} is no number from {self.least} to {self.most}. Write, for "
                    "example: 22, 80"
                )
            found.append(int(word))
        if len(found) > MOST_PORTS:
            raise forms.ValidationError(f"At most {MOST_PORTS} numbers.")
        return tuple(dict.fromkeys(found))


def _line(label: str, longest: int, **kwargs: Any) -> forms.CharField:
    return text(label, "off", longest, attrs=_TEXT, **{"required": False, **kwargs})


class DraftForm(Form):
    """The fields of ``stratus-build-metadata``. Source: stratuslab.md 7.1."""

    title = text("Title", "off", 200, missing="Give the image a title: it is what people find.",
                 help_text="What people see first, such as “Debian 12 with R 4.3”.")  # fmt: skip
    alternative = _line("Tag", 100, help_text="A short name of yours for it, which stays when you "
                        "publish a newer one: debian-12-r. It makes an address that always leads "
                        "to the newest.")  # fmt: skip
    description = forms.CharField(
        label="Description",
        required=False,
        max_length=LONGEST_DESCRIPTION,
        widget=forms.Textarea(attrs={"rows": 5}),
        help_text="What is in it, what it is for, how to use it. Cards show its first sentence.",
    )
    kind = forms.ChoiceField(
        label="Kind",
        choices=[
            (Kind.MACHINE, "machine: machines start from it"),
            (Kind.DISK, "disk: data, plugged into machines read-only"),
        ],
        widget=forms.RadioSelect,
    )
    type = forms.ChoiceField(label="Type", choices=TYPES, help_text="base, or made for a grid.")
    os = _line("Operating system", 60)
    os_version = _line("Its version", 60, help_text="12, 9.4, 24.04 …")
    os_arch = _line("Architecture", 30)
    version = _line("Version of the image", 60, help_text="Yours to count: 1.0, 2026-11-21 …")
    serial_number = forms.IntegerField(
        label="Serial number", required=False, min_value=0, max_value=(1 << 63) - 1,
        widget=forms.NumberInput(attrs={"inputmode": "numeric"}),
        help_text="Optional: a number that grows with each version.",
    )  # fmt: skip
    creator = _line("Author", 120, help_text="Who made the image.")
    publisher = _line("Publisher", 120, help_text="The organisation behind it.")
    valid = forms.DateField(
        label="Valid until",
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        help_text="After that day (UTC) nobody can launch it any more, unless you extend it. Six "
        "months are usual.",
        error_messages={"required": "Without an end of validity no list shows the entry."},
    )
    locations = forms.CharField(
        label="Locations",
        required=False,
        max_length=MOST_LOCATIONS * (LONGEST_URL + 2),
        widget=forms.Textarea(attrs={"rows": 3, **_TEXT}),
    )
    compression = forms.ChoiceField(
        label="The file there is packed with",
        choices=[(kind.value, kind.label) for kind in Compression],
        required=False,
        help_text="Size and checksums are always of what is unpacked.",
    )
    hypervisor = forms.ChoiceField(label="Hypervisor", choices=HYPERVISORS)
    disks_bus = forms.ChoiceField(
        label="Bus of the disks", choices=[(bus.value, bus.value) for bus in DiskBus],
        help_text="virtio is fastest; systems without its driver take ide or scsi.",
    )  # fmt: skip
    default_user = _line("User to sign in as", 32, help_text="root, debian, ubuntu …")
    min_memory_mib = forms.IntegerField(
        label="Least memory (MiB)", required=False, min_value=0, max_value=1 << 20,
        widget=forms.NumberInput(attrs={"inputmode": "numeric"}),
        help_text="With less it does not start. 0: not known.",
    )  # fmt: skip
    inbound_ports = NumbersField(
        label="Inbound ports", least=0, most=65535,
        help_text="TCP ports that must be open to it: 22, 80. 0 means all.",
    )  # fmt: skip
    outbound_ports = NumbersField(label="Outbound ports", least=0, most=65535,
                                  help_text="Ports elsewhere that it must reach.")  # fmt: skip
    icmp = NumbersField(label="ICMP types", least=0, most=255, help_text="8 is ping.")
    replaces = _line("Replaces", 200, help_text="Identifier of the image that this one replaces.")
    is_replaced_by = _line("Is replaced by", 200)
    is_version_of = _line("Is a version of", 200)
    rules = forms.MultipleChoiceField(
        label="I have seen to it that", choices=RULES, required=False,
        widget=forms.CheckboxSelectMultiple,
    )  # fmt: skip

    def __init__(self, data: Any = None, *, draft: Draft, **kwargs: Any) -> None:
        super().__init__(data, initial={**defaults_of(draft), **draft.fields}, **kwargs)
        self.draft = draft
        self._offer("os", _SYSTEMS)
        self._offer("os_arch", _ARCHITECTURES)
        self.fields["locations"].help_text = _where(draft)
        self.fields["valid"].widget.attrs |= _bounds()
        if has_own_file(draft):
            del self.fields["compression"]
        known = str(self.initial.get("type") or "base")
        if known not in dict(TYPES):
            self.fields["type"].choices = [*TYPES, (known, known)]  # type: ignore[attr-defined]

    def _offer(self, name: str, words: Sequence[str]) -> None:
        """Words that the browser offers while one types; any other will do."""
        self.fields[name].widget.attrs["list"] = f"known-{name}"
        self.fields[name].known = words  # type: ignore[attr-defined]

    def answers(self) -> dict[str, Any]:
        """What is in the form, as it was typed, good or not: to be kept."""
        found = {}
        for name, field in self.fields.items():
            value = field.widget.value_from_datadict(self.data, self.files, self.add_prefix(name))
            several = isinstance(value, list | tuple)
            found[name] = [_kept(one) for one in value] if several else _kept(value or "")
        return {**self.draft.fields, **found}

    def clean_valid(self) -> datetime:
        until = datetime.combine(self.cleaned_data["valid"], time(23, 59, 59), UTC)
        try:
            return end_of_validity(until)
        except Refused as refused:
            raise forms.ValidationError(str(refused), code=refused.code) from None

    def clean_default_user(self) -> str:
        name: str = self.cleaned_data["default_user"]
        if name and not _USER.match(name):
            raise forms.ValidationError(
                "A user of Linux has 1 to 32 small letters, digits, - or _, a letter first."
            )
        return name

    def clean_locations(self) -> tuple[str, ...]:
        lines = [line.strip() for line in self.cleaned_data["locations"].splitlines()]
        found = tuple(dict.fromkeys(filter(None, lines)))
        if len(found) > MOST_LOCATIONS:
            raise forms.ValidationError(f"At most {MOST_LOCATIONS} locations.")
        for one in found:
            _must_be_location(one)
        if not found and not own_locations(self.draft):
            raise forms.ValidationError(
                "Say where the file is: without a location nobody can launch the image."
            )
        return found

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if "compression" in self.fields:
            said = cleaned.get("compression", "")
            if doubt := _doubt_of_packing(cleaned.get("locations", ()), said):
                self.add_error("compression", doubt)
        return cleaned

    def said(self) -> Said:
        """Of a form that is valid."""
        known = {name: self.cleaned_data[name] for name in _SAID if name in self.cleaned_data}
        known["min_memory_mib"] = known.get("min_memory_mib") or 0
        return Said(**known, others=tuple(self.draft.fields.get("others", ())))

    def metadata(self) -> Metadata:
        """Of a form that is valid, and a draft that is measured."""
        return compose(self.draft, self.said())

    def unconfirmed(self) -> list[str]:
        """The rules of images from scratch that nobody has confirmed."""
        if self.cleaned_data.get("kind") != Kind.MACHINE:
            return []
        given = self.cleaned_data.get("rules", [])
        return [sentence for name, sentence in RULES if name not in given]


_SAID = frozenset(Said.__dataclass_fields__) - {"others"}


def _bounds() -> dict[str, str]:
    now = timezone.now()
    return {"min": now.date().isoformat(), "max": (now + LONGEST).date().isoformat()}


def _where(draft: Draft) -> str:
    own = own_locations(draft)
    if draft.about == DraftSource.DISK:
        return (
            f"It is at {own[0] if own else 'a disk that is gone'} already. If a copy of the raw, "
            "unpacked disk is on the web as well, write its address, one a line."
        )
    if draft.about == DraftSource.URL:
        return (
            f"It is at {own[0]} already. Write further addresses of the same file here, one a line."
        )
    return "Where the file is, or will be before you publish: https addresses, one a line."


def _kept(value: object) -> str:
    """As a database can have it: none has a place for NUL."""
    return str(value).replace("\0", "")


def _must_be_location(location: str) -> None:
    """Raises: ValidationError."""
    shown = location[:80]
    if len(location) > LONGEST_URL:
        raise forms.ValidationError(f"{shown}… is longer than {LONGEST_URL} characters.")
    if re.search(r"[\s<>\"{}|\\^`]", location) or not location.isascii():
        raise forms.ValidationError(
            f"{shown} is no address: it has blanks or letters that addresses do not have."
        )
    scheme, _, rest = location.partition(":")
    if scheme.lower() not in _SCHEMES:
        raise forms.ValidationError(
            f"{shown} is no address: it begins with https://, http://, ftp:// or pdisk:."
        )
    is_web = scheme.lower() != "pdisk"
    try:
        names_server = not is_web or bool(urlsplit(location).hostname)
    except ValueError:
        names_server = False
    if not names_server or not rest:
        raise forms.ValidationError(f"{shown} names no server.")


def _packed_by_name(location: str) -> Compression:
    path = location.partition("?")[0].lower()
    for suffix, kind in _SUFFIXES.items():
        if path.endswith(suffix):
            return kind
    return Compression.NONE


def _doubt_of_packing(locations: Sequence[str], said: str) -> str:
    for one in locations:
        packed = _packed_by_name(one)
        if packed != said and (packed or one.lower().endswith(_UNPACKED)):
            how = f"packed with {packed.label}" if packed else "not packed"
            name = one.rsplit("/", 1)[-1][:60]
            return f"{name} is {how}, by its name. Choose that, or give the file another name."
    return ""


def defaults_of(draft: Draft) -> dict[str, Any]:
    """What is filled in before anybody has said anything."""
    return {
        "title": draft.volume.tag if draft.volume else "",
        "kind": Kind.MACHINE.value,
        "type": "base",
        "os_arch": "x86_64",
        "version": "1.0",
        "creator": draft.owner.get_full_name() or draft.owner.username,
        "publisher": usual_publisher(),
        "valid": (timezone.now() + SIX_MONTHS).date(),
        "hypervisor": "kvm",
        "disks_bus": DiskBus.VIRTIO.value,
        "inbound_ports": "22",
        "default_user": "root",
        "min_memory_mib": 0,
        "compression": draft.compression,
    }


def fields_of(metadata: Metadata) -> dict[str, Any]:
    """The form's answers that would say what ``metadata`` say; their validity is not among them."""
    plain = {name: getattr(metadata, name) for name in _SAID & _SAME}
    return {
        **plain,
        "others": list(metadata.others),
        "locations": "\n".join(metadata.locations),
        **{
            name: ", ".join(map(str, getattr(metadata, name)))
            for name in ("inbound_ports", "outbound_ports", "icmp")
        },
    }


_SAME = frozenset(
    {
        "title", "alternative", "description", "kind", "type", "os", "os_version", "os_arch",
        "version", "serial_number", "creator", "publisher", "compression", "hypervisor",
        "disks_bus", "default_user", "min_memory_mib", "replaces", "is_replaced_by",
        "is_version_of",
    }
)  # fmt: skip
#: What a data image is: nothing boots from it. Source: stratuslab.md 7.3.
DATA_FIELDS: Mapping[str, Any] = {
    "kind": Kind.DISK.value, "os": "none", "os_version": "none", "os_arch": "none",
    "inbound_ports": "", "default_user": "", "hypervisor": "kvm",
}  # fmt: skip
