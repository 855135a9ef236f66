"""Private networks, and cards on them."""

import uuid
from typing import Any

from django import forms

from registration.forms.base import Form, text
from registration.models import User
from vms.models import Network
from vms.states import NetworkState


class NetworkForm(Form):
    """A new network needs no more than a name: the portal gives the addresses."""

    create_key = forms.UUIDField(widget=forms.HiddenInput)
    name = text("Name", "off", 40, missing="Say what the network is called.",
                help_text="Up to 40 characters. Its addresses are chosen for you.")  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["create_key"] = uuid.uuid4()


class AttachForm(forms.Form):
    """Which network a machine is put on."""

    network = forms.UUIDField()


class NetworksField(forms.ModelMultipleChoiceField):  # type: ignore[type-arg]
    """Networks that a new machine has cards on."""

    def __init__(self) -> None:
        super().__init__(
            Network.objects.none(),
            label="Private networks",
            required=False,
            to_field_name="uuid",
            widget=forms.CheckboxSelectMultiple,
            error_messages={"invalid_choice": "That is none of your networks."},
        )

    def offer(self, user: User) -> None:
        states = (NetworkState.CREATING, NetworkState.READY)
        self.queryset = Network.objects.filter(owner=user, state__in=states)

    def label_from_instance(self, obj: Any) -> str:
        return f"{obj.name} ({obj.cidr})"
