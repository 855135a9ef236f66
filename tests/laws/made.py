"""What there is of Alice's beside the simple things: images in the making, clusters, webhooks."""

import uuid
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from marketplace.models import Inspection, Publication
from marketplace.states import InspectionState
from registration import actions
from registration.models import Delivery, Notification
from vms.building import Recipe as Steps
from vms.models import (
    VM,
    Backup,
    Batch,
    Build,
    Cluster,
    InstanceType,
    Network,
    Nic,
    Recipe,
    Saving,
)
from vms.states import BuildState, ClusterState, NetworkState, NicState
from vms.tests.factories import VMFactory
from volumes.tests.factories import VolumeFactory


class Made:
    """The half of the world that is made of the other half."""

    alice: Any
    entry: Any
    said: Any
    group: Any
    vm: Any
    disk: Any

    def _made_of_machines(self) -> None:
        """What her machines are to become, and what they belong to."""
        later = timezone.now() + timedelta(days=1)
        self.image = {
            "title": "Debian with R", "comment": "With R.", "author": "Alice",
            "email": self.alice.email, "version": "1.1",
        }  # fmt: skip
        VM.objects.filter(pk=self.vm.pk).update(expires_at=later, lease_since=timezone.now())
        Saving.objects.create(vm=self.vm, **self.image)
        built = VMFactory(owner=self.alice, entry=self.entry, running=True)
        self.build = Build.objects.create(
            owner=self.alice, base=self.entry, vm=built, create_key=uuid.uuid4(),
            recipe={**self.image, **Steps().as_json(), "disks": []}, state=BuildState.KEPT,
        )  # fmt: skip
        Saving.objects.create(vm=built, **self.image)
        self.batch = Batch.objects.create(
            uuid=uuid.uuid4(), owner=self.alice, name="batch", asked=1
        )
        self.network = Network.objects.create(
            owner=self.alice, cloud="local", create_key=uuid.uuid4(), name="lab",
            cidr="10.81.7.0/24", state=NetworkState.READY, cloud_ref="net",
        )  # fmt: skip
        self.nic = Nic.objects.create(
            vm=self.vm, network=self.network, address="10.81.7.2/24", mac="52:54:01:00:00:01",
            state=NicState.ATTACHED,
        )  # fmt: skip
        wire = Network.objects.create(
            owner=self.alice, cloud="local", create_key=uuid.uuid4(), name="wire",
            cidr="10.81.8.0/24", state=NetworkState.READY, cloud_ref="wire",
        )  # fmt: skip
        self.cluster = Cluster.objects.create(
            owner=self.alice, cloud="local", create_key=uuid.uuid4(), name="lab", network=wire,
            state=ClusterState.READY,
        )  # fmt: skip
        self.recipe = Recipe.objects.create(
            owner=self.alice, group=self.group, name="web", context={"literal": "#!/bin/sh\n"}
        )
        self.own_type = InstanceType.objects.create(
            owner=self.alice, name="mine", vcpus=1, memory_mib=256
        )
        root = VolumeFactory(owner=self.alice)
        self.backup = Backup.objects.create(
            uuid=uuid.uuid4(), owner=self.alice, vm=self.vm, name="before", root=root
        )

    def _told(self) -> None:
        """What she was told, and whom the portal tells for her."""
        self.notification = Notification.objects.create(
            owner=self.alice, kind="machine_ready", sentence="It is ready."
        )
        with transaction.atomic():
            self.webhook, _ = actions.add_webhook(
                owner=self.alice, url="https://hooks.example.org/", kinds=["machine_ready"]
            )
            self.delivery = actions.test_webhook(self.webhook, by=self.alice)
        Delivery.objects.filter(pk=self.delivery.pk).update(state="given_up", next_tick_at=None)
        self.inspection = Inspection.objects.create(
            volume=self.disk, state=InspectionState.READY,
            report={"findings": [{"kind": "host_key", "part": 1, "path": "/etc/ssh/k",
                                  "size_bytes": 1, "is_removable": True}]},
        )  # fmt: skip
        self.publication = Publication.objects.create(entry=self.said, owner=self.alice)
