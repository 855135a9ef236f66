"""What a person fills in: an order for a machine, and a size that the site offers."""

import gzip
import uuid
from datetime import date
from typing import Any

import yaml
from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator

from cloud.types import DiskBus
from marketplace.models import Entry
from registration.models import SshKey, User
from vms.actions import Order
from vms.models import LARGEST_MEMORY_MIB, LARGEST_VCPUS, SMALLEST_MEMORY_MIB, InstanceType

#: StratusLab's limit on user data, after gzip.
LARGEST_USER_DATA_BYTES = 16_384
#: And ours before it: what is parsed must be small, however well it compresses.
LARGEST_PLAIN_BYTES = 65_536
#: libyaml where it is there; both refuse the same texts.
_YamlLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2199, 12, 31)


def _day(label: str) -> forms.DateField:
    return forms.DateField(
        label=label,
        widget=forms.DateInput(attrs={"type": "date"}),
        validators=[MinValueValidator(FIRST_DAY), MaxValueValidator(LAST_DAY)],
    )


class LaunchForm(forms.Form):
    """The launch page. Valid as it comes; everything can be changed."""

    launch_key = forms.UUIDField(widget=forms.HiddenInput)
    name = forms.CharField(
        max_length=80, help_text="Up to 80 characters, in any script. You can have two of a name."
    )
    type_name = forms.ModelChoiceField(
        InstanceType.objects.none(),
        to_field_name="name",
        label="Size",
        empty_label=None,
        widget=forms.RadioSelect,
    )
    keys = forms.ModelMultipleChoiceField(
        SshKey.objects.none(),
        label="SSH keys",
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )
    new_key = forms.CharField(
        label="Another SSH public key",
        required=False,
        max_length=16_384,
        widget=forms.Textarea(
            attrs={
                "rows": 3,
                "spellcheck": "false",
                "autocomplete": "off",
                "placeholder": "ssh-ed25519 AAAA… you@laptop",
            }
        ),
        help_text="It is added to your profile, so that you can choose it next time.",
    )
    without_key = forms.BooleanField(
        label="Launch without a key", required=False,
        help_text="You will reach the machine by its console only.",
    )  # fmt: skip
    vcpus = forms.IntegerField(label="vCPUs", required=False, min_value=1, max_value=LARGEST_VCPUS)
    cpu_share = forms.FloatField(
        label="CPU share",
        required=False,
        min_value=0.1,
        max_value=1,
        widget=forms.NumberInput(attrs={"step": "0.1"}),
        help_text="0.1 to 1: how much of its vCPUs it gets when the host is busy.",
    )
    memory_mib = forms.IntegerField(
        label="Memory (MiB)",
        required=False,
        min_value=SMALLEST_MEMORY_MIB,
        max_value=LARGEST_MEMORY_MIB,
    )
    swap_mib = forms.IntegerField(
        label="Swap (MiB)", required=False, min_value=0, max_value=LARGEST_MEMORY_MIB
    )
    disk_bus = forms.ChoiceField(label="Disk bus", required=False)
    user_data = forms.CharField(
        label="User data",
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false", "class": "font-monospace"}),
        help_text="A script (#!…) or a #cloud-config, run once at the first boot.",
    )

    def __init__(
        self, *args: Any, user: User, entry: Entry, buses: list[str], **kwargs: Any
    ) -> None:
        self.user, self.entry = user, entry
        types = InstanceType.objects.filter(is_offered=True)
        keys = SshKey.objects.filter(owner=user)
        default_type = types.filter(name=user.default_instance_type).first() or next(
            (one for one in types if one.is_default), types.first()
        )
        super().__init__(*args, **kwargs)
        self.initial = {
            "launch_key": uuid.uuid4(),
            "name": entry.title[:80],
            "type_name": default_type.name if default_type else None,
            "keys": [key.pk for key in keys if key.is_default],
        }
        _choices(self, "type_name", types)
        _choices(self, "keys", keys)
        if not keys:
            self.fields["new_key"].label = "Your SSH public key"
        offered = buses or [str(DiskBus.VIRTIO)]
        self.fields["disk_bus"].choices = [("", "as the image says"), *((b, b) for b in offered)]  # type: ignore[attr-defined]

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if not name.isprintable():
            raise forms.ValidationError("A name has no control characters or line breaks.")
        return name

    def clean_user_data(self) -> str:
        text: str = self.cleaned_data["user_data"].replace("\r\n", "\n")
        if text:
            _check_user_data(text)
        return text

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        some_key = data.get("keys") or data.get("new_key") or data.get("without_key")
        if not some_key and not SshKey.objects.filter(owner=self.user, is_default=True).exists():
            self.add_error(
                "new_key",
                "Without a key nobody can log in by SSH. Paste a public key, generate one, or "
                "choose “Launch without a key”.",
            )
        return data

    def public_keys(self) -> list[str]:
        """The chosen keys; the default one when none was chosen and none refused."""
        data = self.cleaned_data
        keys = [key.public_key for key in data["keys"]]
        if keys or data["new_key"] or data["without_key"]:
            return keys
        return [key.public_key for key in SshKey.objects.filter(owner=self.user, is_default=True)]

    def order(self, *, extra_keys: list[str]) -> Order:
        """The valid answers as what ``actions.launch`` takes."""
        data = self.cleaned_data
        size: InstanceType = data["type_name"]
        bus = data["disk_bus"] or self.entry.disks_bus
        offered = {value for value, _ in self.fields["disk_bus"].choices}  # type: ignore[attr-defined]
        return Order(
            entry=self.entry,
            launch_key=data["launch_key"],
            name=data["name"],
            type_name=size.name,
            vcpus=data["vcpus"] or size.vcpus,
            cpu_share=data["cpu_share"] or 1.0,
            memory_mib=data["memory_mib"] or size.memory_mib,
            swap_mib=size.swap_mib if data["swap_mib"] is None else data["swap_mib"],
            disk_bus=bus if bus in offered else str(DiskBus.VIRTIO),
            ssh_keys=[*self.public_keys(), *extra_keys],
            user_data=data["user_data"],
        )


def _choices(form: forms.Form, name: str, rows: Any) -> None:
    form.fields[name].queryset = rows  # type: ignore[attr-defined]


def _check_user_data(text: str) -> None:
    plain = len(text.encode())
    if plain > LARGEST_PLAIN_BYTES:
        raise forms.ValidationError(
            f"User data has {plain} bytes; the limit is {LARGEST_PLAIN_BYTES}. Copy the large "
            f"parts to the machine once it runs."
        )
    size = len(gzip.compress(text.encode(), mtime=0))
    if size > LARGEST_USER_DATA_BYTES:
        raise forms.ValidationError(
            f"User data has {size} bytes after gzip; the limit is {LARGEST_USER_DATA_BYTES}. "
            f"Copy the large parts to the machine once it runs."
        )
    if text.startswith("#cloud-config"):
        try:
            parsed = yaml.load(text, _YamlLoader)  # noqa: S506  (both loaders are safe ones)
        except (yaml.YAMLError, ValueError, RecursionError) as exc:
            mark = getattr(exc, "problem_mark", None)
            where = f" in line {mark.line + 1}" if mark else ""
            raise forms.ValidationError(f"This is no valid YAML{where}.") from None
        if parsed is not None and not isinstance(parsed, dict):
            raise forms.ValidationError("A #cloud-config is a mapping: key: value.")
    elif not text.startswith(("#!", "Content-Type:", "MIME-Version:")):
        raise forms.ValidationError(
            "Start with #! (a script), #cloud-config, or a MIME multipart header."
        )


class InstanceTypeForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = InstanceType
        fields = (
            "name", "description", "vcpus", "memory_mib", "swap_mib", "is_default", "is_offered",
        )  # fmt: skip

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if name == "new":
            raise forms.ValidationError("“new” is taken by the page that makes sizes.")
        return name

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if data.get("is_default") and not data.get("is_offered"):
            self.add_error("is_offered", "The default size must be offered.")
        return data

    def _get_validation_exclusions(self) -> set[str]:
        # One default: the action replaces the old one, so it is no error of the new one.
        return {*super()._get_validation_exclusions(), "is_default"}  # type: ignore[misc]


class PeriodForm(forms.Form):
    """Two days of UTC, both of which count."""

    first = _day("From")
    until = _day("Until, with this day")

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if {"first", "until"} <= set(data) and data["first"] > data["until"]:
            self.add_error("until", "This is before the first day.")
        return data


class UuidsField(forms.TypedMultipleChoiceField):
    """Any UUIDs: which of them name something is for the policy to say."""

    def valid_value(self, value: Any) -> bool:
        return True


class BulkForm(forms.Form):
    """Several machines and one verb; machines also as a pasted list of ids."""

    verb = forms.ChoiceField(choices=[("shut_down", "Shut down"), ("kill", "Kill")])
    vm = UuidsField(coerce=uuid.UUID, required=False)
    ids = forms.CharField(required=False, max_length=4000)
