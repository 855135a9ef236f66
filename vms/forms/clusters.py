"""An order for a cluster."""

import uuid
from collections.abc import Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from cloud.types import DiskBus
from marketplace.models import Entry
from registration.forms.base import Form, text
from registration.models import SshKey, User
from vms import clusters
from vms.actions import MOST_NODES, ClusterOrder, Order
from vms.clusters import LONGEST_MINUTES, Wishes
from vms.forms.building import PackagesField, TextField
from vms.models import VM, InstanceType
from vms.states import VmState

SAME, IMAGE, MACHINE = "same", "image", "machine"
ROLL_BACK, TOLERATE = "roll_back", "tolerate"


class ClusterForm(Form):
    """The page of a new cluster; valid as it comes but for its name.

    ``entry`` is the image of the workers, ``master_entry`` that of the master once the view has
    found it.
    """

    create_key = forms.UUIDField(widget=forms.HiddenInput)
    name = text("Name", "off", 40, missing="Say what the cluster is called.",
                help_text="Its machines are called NAME-master, NAME-node2, NAME-node3, …",
                )  # fmt: skip
    workers = forms.IntegerField(
        label="Workers", min_value=1, max_value=MOST_NODES - 1, initial=2,
        help_text=f"Machines beside the master: 1 to {MOST_NODES - 1}.",
    )  # fmt: skip
    type_name = forms.ModelChoiceField(
        InstanceType.objects.none(), label="Size of each worker", to_field_name="name",
        empty_label=None,
    )  # fmt: skip
    master_kind = forms.ChoiceField(
        label="The master", widget=forms.RadioSelect, initial=SAME,
        choices=[(SAME, "A machine of the same image"), (IMAGE, "A machine of another image"),
                 (MACHINE, "A machine of yours that runs already")],
    )  # fmt: skip
    master_image = forms.CharField(
        label="Image of the master", required=False, max_length=500,
        widget=forms.TextInput(attrs={"spellcheck": "false", "autocomplete": "off"}),
        help_text="Its identifier, or its address in the Marketplace.",
    )  # fmt: skip
    master_type = forms.ModelChoiceField(
        InstanceType.objects.none(), label="Size of the master", to_field_name="name",
        empty_label="as the workers", required=False,
    )  # fmt: skip
    master_vm = forms.ModelChoiceField(
        VM.objects.none(), label="Machine that becomes the master", to_field_name="uuid",
        empty_label="choose one", required=False,
        help_text="It gets a card on the network, and you run one script in it. It outlives the "
        "cluster.",
    )  # fmt: skip
    include_master = forms.BooleanField(
        label="The master works, too", required=False,
        help_text="It stands in the node list and in the machine file.",
    )  # fmt: skip
    keys = forms.ModelMultipleChoiceField(
        SshKey.objects.none(), label="Your SSH keys", required=False,
        widget=forms.CheckboxSelectMultiple,
    )  # fmt: skip
    user = forms.CharField(
        label="Extra user", required=False, max_length=31,
        widget=forms.TextInput(attrs={"spellcheck": "false", "autocomplete": "off",
                                      "autocapitalize": "off"}),
        help_text="Made on every machine; it too gets from each to each without a password.",
    )  # fmt: skip
    shared_folder = forms.CharField(
        label="Shared folder", required=False, max_length=200,
        widget=forms.TextInput(attrs={"spellcheck": "false", "autocomplete": "off",
                                      "placeholder": "/home/shared"}),
        help_text="Of the master, mounted by all over NFS. Only the private network reaches it. "
        "The image has what NFS needs, or is able to install it.",
    )  # fmt: skip
    packages = PackagesField(
        label="Packages", rows=2,
        help_text="Installed on every machine by apt-get, dnf, yum or apk, as it has: openmpi-bin.",
    )  # fmt: skip
    machine_file = forms.BooleanField(
        label="Write an MPI machine file", required=False, initial=True,
        help_text="/tmp/machinefile, a line “address slots=cores” for each.",  # noqa: S108
    )  # fmt: skip
    hook = TextField(
        label="Start hook", rows=5,
        help_text="A script that the master runs once all workers are set up; it becomes "
        "/etc/rc.cluster-services. Left out: the image's own of that name, if it has one.",
    )  # fmt: skip
    on_failure = forms.ChoiceField(
        label="If a machine fails", widget=forms.RadioSelect, initial=ROLL_BACK,
        choices=[(ROLL_BACK, "Give the whole cluster up"),
                 (TOLERATE, "Go on without that worker")],
    )  # fmt: skip
    keep_failed = forms.BooleanField(
        label="Keep machines then, for a look", required=False,
        help_text="Else they are killed: the failed one, or all of a cluster that is given up.",
    )  # fmt: skip
    minutes = forms.IntegerField(
        label="Minutes to set up", min_value=1, max_value=LONGEST_MINUTES, initial=15,
        help_text="From when all machines run. Who is not done by then has failed.",
    )  # fmt: skip

    def __init__(self, data: Any = None, *, user: User, entry: Entry, buses: Sequence[str],
                 **kwargs: Any) -> None:  # fmt: skip
        super().__init__(data, **kwargs)
        self.entry, self.buses = entry, buses
        self.master_entry: Entry | None = None
        types = list(InstanceType.objects.offered_to(user))
        for name in ("type_name", "master_type"):
            _rows(self, name, InstanceType.objects.offered_to(user))
        keys = SshKey.objects.filter(owner=user)
        _rows(self, "keys", keys)
        running = VM.objects.filter(owner=user, state=VmState.RUNNING, cluster=None)
        _rows(self, "master_vm", running.order_by("name"))
        self.initial = {
            "create_key": uuid.uuid4(),
            "type_name": _first(user, types, entry),
            "keys": [key.pk for key in keys if key.is_default],
            "workers": 2,
            "master_kind": SAME,
            "machine_file": True,
            "on_failure": ROLL_BACK,
            "minutes": 15,
        }

    def clean(self) -> dict[str, Any]:
        data = super().clean()
        kind = data.get("master_kind")
        if kind == IMAGE and not data.get("master_image"):
            self.add_error("master_image", "Say which image the master has.")
        if kind == MACHINE and not data.get("master_vm") and "master_vm" not in self.errors:
            self.add_error("master_vm", "Choose the machine that becomes the master.")
        for name, sentence in clusters.problems(self.wishes()):
            if name not in self.errors:
                self.add_error(name, ValidationError(sentence))
        return data

    def wishes(self) -> Wishes:
        """Those of the answers that could be read."""
        data = self.cleaned_data
        names = ("user", "shared_folder", "packages", "machine_file", "hook", "include_master",
                 "keep_failed", "minutes")  # fmt: skip
        tolerate = data.get("on_failure") == TOLERATE
        return Wishes(tolerate=tolerate, **{name: data[name] for name in names if name in data})

    def order(self) -> ClusterOrder:
        """The valid answers as what ``actions.launch_cluster`` takes."""
        data = self.cleaned_data
        kind = data["master_kind"]
        master = None
        if kind != MACHINE:
            entry = self.master_entry if kind == IMAGE and self.master_entry else self.entry
            master = self._machine(entry, data["master_type"] or data["type_name"])
        return ClusterOrder(
            name=data["name"],
            worker=self._machine(self.entry, data["type_name"]),
            workers=data["workers"],
            master=master,
            master_vm=data["master_vm"] if kind == MACHINE else None,
            wishes=self.wishes(),
            create_key=data["create_key"],
        )

    def _machine(self, entry: Entry, size: InstanceType) -> Order:
        bus = entry.disks_bus
        return Order(
            entry=entry,
            name=self.cleaned_data["name"],
            type_name=size.name,
            vcpus=size.vcpus,
            memory_mib=size.memory_mib,
            swap_mib=size.swap_mib,
            disk_bus=bus if bus in self.buses else str(DiskBus.VIRTIO),
            ssh_keys=[key.public_key for key in self.cleaned_data["keys"]],
        )


def _first(user: User, types: Sequence[InstanceType], entry: Entry) -> str | None:
    chosen = [one for one in types if one.name == user.default_instance_type]
    chosen += [one for one in types if one.is_default]
    fitting = [one for one in [*chosen, *types] if one.memory_mib >= entry.min_memory_mib]
    return fitting[0].name if fitting else None


def _rows(form: forms.Form, name: str, rows: Any) -> None:
    form.fields[name].queryset = rows  # type: ignore[attr-defined]
