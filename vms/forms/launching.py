"""An order for a machine."""

import uuid
from collections.abc import Sequence
from typing import Any

from django import forms
from django.conf import settings
from django.utils.datastructures import MultiValueDict

from cloud.types import DiskBus
from marketplace.models import Entry
from registration.models import SshKey, User
from vms.actions import MOST_VOLATILE, Order, alike, too_volatile
from vms.context import Context
from vms.forms.context import ContextFields, ExtraKeysField, default_method, initial_of
from vms.forms.disks import DiskOffer, DisksField, SizesField
from vms.forms.leases import UntilField, end_of
from vms.forms.networks import NetworksField
from vms.forms.saving import SaveFields
from vms.models import LARGEST_MEMORY_MIB, LARGEST_VCPUS, SMALLEST_MEMORY_MIB, InstanceType
from volumes.models import Volume

#: Alike, in one launch.
MOST_AT_ONCE = 50


class LaunchForm(ContextFields, SaveFields):
    """The launch page. Valid as it comes; everything can be changed.

    The machine boots from ``entry``, or from ``root_disk``. ``disks`` are UUIDs, as words, of
    the disks that are chosen to begin with.
    """

    launch_key = forms.UUIDField(widget=forms.HiddenInput)
    name = forms.CharField(
        max_length=80, help_text="Up to 80 characters, in any script. You can have two of a name."
    )
    count = forms.IntegerField(
        label="How many",
        required=False,
        min_value=1,
        max_value=MOST_AT_ONCE,
        initial=1,
        help_text=f"Up to {MOST_AT_ONCE} alike, called NAME-1, NAME-2 and so on. A disk to write "
        "to can be on one of them only.",
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
    default_user = forms.RegexField(
        r"^[a-z_][a-z0-9_.-]*$",
        label="User name to log in with",
        required=False,
        max_length=32,
        initial="root",
        help_text="Who your SSH keys let in: “root”, “ubuntu”, “debian”, as the system on the "
        "disk has it.",
        error_messages={"invalid": "Small letters, digits, - and _; it begins with a letter."},
    )
    disks = DisksField(label="Disks", required=False)
    volatile = SizesField(
        label="Sizes of volatile disks, in GiB",
        required=False,
        max_length=60,
        widget=forms.TextInput(
            attrs={"inputmode": "numeric", "autocomplete": "off", "placeholder": "none"}
        ),
    )
    until = UntilField()
    networks = NetworksField()
    extra_keys = ExtraKeysField(
        label="More SSH public keys, for this machine only",
        required=False,
        max_length=65_536,
        widget=forms.Textarea(
            attrs={"rows": 2, "spellcheck": "false", "autocomplete": "off",
                   "class": "font-monospace"}
        ),
        help_text="One a line, such as those of people who work with you.",
    )  # fmt: skip

    def __init__(
        self,
        *args: Any,
        user: User,
        entry: Entry | None = None,
        root_disk: Volume | None = None,
        disks: Sequence[str] = (),
        buses: list[str],
        context: Context | None = None,
        **kwargs: Any,
    ) -> None:
        self.user, self.entry, self.root_disk = user, entry, root_disk
        types = InstanceType.objects.offered_to(user)
        keys = SshKey.objects.filter(owner=user)
        default_type = types.filter(name=user.default_instance_type).first() or next(
            (one for one in types if one.is_default), types.first()
        )
        super().__init__(*args, **kwargs)
        self.initial = {
            "launch_key": uuid.uuid4(),
            "count": 1,
            "name": (entry.title if entry else str(root_disk))[:80],
            "type_name": default_type.name if default_type else None,
            "keys": [key.pk for key in keys if key.is_default],
            **self.image_initial(user, entry),
            **initial_of(context or Context(method=default_method(user.default_context_method))),
        }
        if root_disk is None:
            del self.fields["default_user"]
        self.offer = DiskOffer(user, wanted=self._wanted_disks(disks), root_disk=root_disk)
        self.fields["networks"].offer(user)  # type: ignore[attr-defined]
        self.fields["until"].describe()  # type: ignore[attr-defined]
        self.fields["volatile"].help_text = (
            f"One or more sizes in GiB, such as “10” or “10, 20”: {MOST_VOLATILE} disks and "
            f"{settings.PORTAL_VOLATILE_GIB} GiB at most, together. They are in no quota."
        )
        _choices(self, "type_name", types)
        _choices(self, "keys", keys)
        if not keys:
            self.fields["new_key"].label = "Your SSH public key"
        offered = buses or [str(DiskBus.VIRTIO)]
        as_is = "as the image says" if entry else "as the site prefers"
        self.fields["disk_bus"].choices = [("", as_is), *((b, b) for b in offered)]  # type: ignore[attr-defined]

    def _wanted_disks(self, preselected: Sequence[str]) -> Sequence[str]:
        return self.data.getlist("disks") if self.is_bound else preselected  # type: ignore[attr-defined]

    def clean_disks(self) -> list[tuple[Volume, bool]]:
        return self.offer.chosen(self.cleaned_data["disks"])

    def clean_volatile(self) -> list[int]:
        sizes: list[int] = self.cleaned_data["volatile"]
        if reason := too_volatile(sizes):
            raise forms.ValidationError(reason)
        return sizes

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if not name.isprintable():
            raise forms.ValidationError("A name has no control characters or line breaks.")
        return name

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if self.has_error("extra_keys", "key_private"):  # it must not come back in the page
            answers = MultiValueDict(self.data)
            answers["extra_keys"] = ""
            self.data = answers
        self.check_saving()
        some_key = any(data.get(one) for one in ("keys", "new_key", "extra_keys", "without_key"))
        if not some_key and not SshKey.objects.filter(owner=self.user, is_default=True).exists():
            self.add_error(
                "new_key",
                "Without a key nobody can log in by SSH. Paste a public key, generate one, or "
                "choose “Launch without a key”.",
            )
        return data

    def clean_count(self) -> int:
        count: int = self.cleaned_data["count"] or 1
        if count > 1 and self.root_disk:
            raise forms.ValidationError(
                "A disk boots one machine at a time: launch one, or copy the disk first."
            )
        return count

    def orders(self, *, extra_keys: list[str]) -> list[Order]:
        """One order for each machine that is asked for; their names and keys follow the first's."""
        return alike(self.order(extra_keys=extra_keys), self.cleaned_data["count"])

    def public_keys(self) -> list[str]:
        """The chosen keys; the default one when none was chosen and none refused."""
        data = self.cleaned_data
        keys = [*(key.public_key for key in data["keys"]), *data["extra_keys"]]
        if keys or data["new_key"] or data["without_key"]:
            return keys
        return [key.public_key for key in SshKey.objects.filter(owner=self.user, is_default=True)]

    def order(self, *, extra_keys: list[str]) -> Order:
        """The valid answers as what ``actions.launch`` takes."""
        data = self.cleaned_data
        size: InstanceType = data["type_name"]
        bus = data["disk_bus"] or (self.entry.disks_bus if self.entry else "")
        offered = {value for value, _ in self.fields["disk_bus"].choices}  # type: ignore[attr-defined]
        return Order(
            entry=self.entry,
            root_disk=self.root_disk,
            disks=data["disks"],
            volatile_gib=data["volatile"],
            default_user=data["default_user"] or "root" if self.root_disk else "",
            launch_key=data["launch_key"],
            name=data["name"],
            type_name=size.name,
            vcpus=data["vcpus"] or size.vcpus,
            cpu_share=data["cpu_share"] or 1.0,
            memory_mib=data["memory_mib"] or size.memory_mib,
            swap_mib=size.swap_mib if data["swap_mib"] is None else data["swap_mib"],
            disk_bus=bus if bus and bus in offered else str(DiskBus.VIRTIO),
            ssh_keys=list(dict.fromkeys([*self.public_keys(), *extra_keys])),
            networks=tuple(data["networks"]),
            until=end_of(data["until"]),
            image=self.image_to_be(),
            context=self.told(),
        )


def _choices(form: forms.Form, name: str, rows: Any) -> None:
    form.fields[name].queryset = rows  # type: ignore[attr-defined]
