"""One example of each action about images in the making, batches, clusters and webhooks."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.test import override_settings
from django.utils import timezone

from cloud.diskfiles.identifiers import identifier_of
from marketplace import actions as catalogue
from marketplace import pdisk
from marketplace.actions.saving import About
from marketplace.composing import Said
from marketplace.models import Inspection, Publication
from marketplace.states import InspectionState, Visibility
from marketplace.tests import publishing
from marketplace.tests.factories import EntryFactory, ImageFileFactory
from registration import actions
from registration.models import Delivery
from tests.laws import catalogue_examples
from vms import actions as machines
from vms.building import Recipe as Steps
from vms.clusters import Wishes
from vms.context import Context
from vms.models import VM, Backup, Build, InstanceType, Network, Nic, Recipe
from vms.states import BuildState, NetworkState, NicState, VmState
from volumes import actions as disks
from volumes.models import DiskType

Example = Callable[[Any], Any]
SHA1 = hashlib.sha1(b"a saved disk").hexdigest()  # noqa: S324


def image(case: Any) -> machines.Image:
    return machines.Image(
        title="Debian with R", comment="With R.", author="Alice", email=case.alice.email,
        version="1.1",
    )  # fmt: skip


def order(**more: Any) -> machines.Order:
    known = {"name": "web", "type_name": "m1.small", "vcpus": 1, "memory_mib": 256}
    return machines.Order(**{"entry": EntryFactory()} | known | more)


def leased(case: Any) -> VM:
    return case.vm(expires_at=timezone.now() + timedelta(hours=1), lease_since=timezone.now())


def planned(case: Any) -> VM:
    vm = case.vm()
    machines.plan_saving(vm, image(case), by=case.alice)
    return VM.objects.get(pk=vm.pk)


def network(case: Any, name: str = "lab", number: int = 7) -> Network:
    return Network.objects.create(
        owner=case.alice, cloud="local", create_key=uuid4(), name=name, cloud_ref=name,
        cidr=f"10.81.{number}.0/24", state=NetworkState.READY,
    )  # fmt: skip


def nic(case: Any) -> Nic:
    return Nic.objects.create(
        vm=case.vm(), network=network(case), address="10.81.7.2/24", mac="52:54:01:00:00:01",
        state=NicState.ATTACHED,
    )  # fmt: skip


def build_order(case: Any) -> machines.BuildOrder:
    return machines.BuildOrder(
        entry=EntryFactory(), image=image(case), recipe=Steps(recipe="true\n"),
        type_name="m1.small", vcpus=1, memory_mib=512,
    )  # fmt: skip


def build(case: Any, **more: Any) -> Build:
    made = machines.build(owner=case.alice, order=build_order(case))
    VM.objects.filter(pk=made.vm_id).update(state=VmState.RUNNING, cloud_ref="a machine")
    Build.objects.filter(pk=made.pk).update(**more)
    return Build.objects.select_related("vm__owner", "owner").get(pk=made.pk)


def backup(case: Any) -> Backup:
    root = case.disk(type=DiskType.MACHINE_IMAGE_ORIGIN)
    return Backup.objects.create(
        uuid=uuid4(), owner=case.alice, vm=case.vm(), name="before", root=root
    )


def cluster(case: Any) -> Any:
    wanted = machines.ClusterOrder(
        name="lab", worker=order(), workers=1, master=order(), wishes=Wishes(user="mpi")
    )
    made = machines.launch_cluster(owner=case.alice, order=wanted)
    case.secret(made.sealed_key)
    return made


def recipe(case: Any) -> Recipe:
    return Recipe.objects.create(owner=case.alice, name="web", context={"literal": "#!/bin/sh\n"})


def own_type(case: Any) -> InstanceType:
    return InstanceType.objects.create(owner=case.alice, name="mine", vcpus=1, memory_mib=256)


MACHINES: Mapping[str, Example] = {
    "attach_nic": lambda case: machines.attach_nic(case.vm(), network(case), by=case.alice),
    "back_up": lambda case: machines.back_up(
        case.vm(), name="before", by=case.alice, key=uuid4(), disks=[]
    ),
    "build": build,
    "cancel_build": lambda case: machines.cancel_build(build(case), by=case.alice),
    "copy_backup": lambda case: machines.copy_backup(backup(case), by=case.alice, key=uuid4()),
    "create_network": lambda case: machines.create_network(
        owner=case.alice, name="lab", create_key=uuid4()
    ),
    "delete_backup": lambda case: machines.delete_backup(backup(case), by=case.alice),
    "delete_network": lambda case: machines.delete_network(network(case), by=case.alice),
    "delete_own_type": lambda case: machines.delete_own_type(own_type(case), by=case.alice),
    "delete_recipe": lambda case: machines.delete_recipe(recipe(case), by=case.alice),
    "detach_nic": lambda case: machines.detach_nic(nic(case), by=case.alice),
    "drop_saving": lambda case: machines.drop_saving(planned(case), by=case.alice),
    "extend": lambda case: machines.extend(leased(case), by=case.alice),
    "kill_cluster": lambda case: machines.kill_cluster(cluster(case), by=case.alice),
    "launch_cluster": cluster,
    "launch_many": lambda case: machines.launch_many(
        owner=case.alice, orders=machines.alike(order(), 2), name="web", key=uuid4()
    ),
    "plan_saving": planned,
    "save": lambda case: machines.save(case.vm(), image(case), by=case.alice),
    "save_build": lambda case: machines.save_build(
        build(case, state=BuildState.KEPT, next_tick_at=None), by=case.alice
    ),
    "save_own_type": lambda case: machines.save_own_type(
        InstanceType(name="mine", vcpus=1, memory_mib=256), owner=case.alice
    ),
    "save_recipe": lambda case: machines.save_recipe(
        by=case.alice, name="web", description="", context=Context(literal="#!/bin/sh\n"),
        group=None, recipe=None,
    ),
    "set_lease": lambda case: machines.set_lease(
        case.vm(), until=timezone.now() + timedelta(days=1), by=case.alice
    ),
    "shut_down_to_save": lambda case: machines.shut_down_to_save(planned(case), "Every step."),
}  # fmt: skip


def summed(case: Any, **more: Any) -> Any:
    """A disk of which every checksum is known."""
    size = 1 << 30
    return case.disk(
        type=DiskType.MACHINE_IMAGE_ORIGIN, size_bytes=size, content_bytes=size, sha1=SHA1,
        sha256="ab" * 32, sha512="cd" * 64, identifier=identifier_of(SHA1), **more,
    )  # fmt: skip


def mine(case: Any) -> Any:
    """A private entry of Alice's."""
    return catalogue_examples.said(case, readers=catalogue.Reader(visibility=Visibility.PRIVATE))


def wish(case: Any, **more: Any) -> Publication:
    return Publication.objects.create(entry=mine(case), owner=case.alice, **more)


def inspection(case: Any) -> Inspection:
    found = {"kind": "host_key", "part": 1, "path": "/etc/ssh/k", "size_bytes": 1}
    return Inspection.objects.create(
        volume=case.disk(), state=InspectionState.READY,
        report={"findings": [found | {"is_removable": True}], "is_read": True},
    )  # fmt: skip


def image_on_disk(case: Any) -> Any:
    metadata = replace(
        publishing.metadata_about(b"an image"), locations=(pdisk.address_of(summed(case).uuid),)
    )
    return catalogue.sign_and_publish(
        metadata, signer=catalogue_examples.signing.alice(case.alice.email),
        email=case.alice.email, owner=case.alice, by=case.alice,
        readers=catalogue.Reader(visibility=Visibility.PRIVATE),
    )  # fmt: skip


def asked(case: Any) -> Publication:
    with override_settings(PORTAL_PUBLISH_APPROVAL=True):
        return catalogue.ask_publication(mine(case), by=case.alice, message="For the course.")


CATALOGUE: Mapping[str, Example] = {
    "approve_publication": lambda case: catalogue.approve_publication(wish(case), by=case.admin),
    "ask_publication": asked,
    "evict_useless": lambda case: (
        ImageFileFactory(ready=True, entry=EntryFactory(deprecated="Old.")),
        catalogue.evict_useless("local", set()),
    ),
    "inspect": lambda case: catalogue.inspect(case.disk(), by=case.alice),
    "publish_saved": lambda case: catalogue.publish_saved(
        summed(case), owner=case.alice, create_key=uuid4(), pen=catalogue_examples.pen(case),
        about=About(title="Debian", comment="With R.", author="Alice", version="1.1"),
    ),
    "reconsider_publication": lambda case: catalogue.reconsider_publication(
        wish(case, state="rejected"), by=case.admin
    ),
    "register_disk": lambda case: catalogue.register_disk(
        summed(case), by=case.alice, fields={}, pen=catalogue_examples.pen(case),
        said=Said(title="Debian", valid=catalogue_examples.later()), create_key=uuid4(),
    ),
    "reject_publication": lambda case: catalogue.reject_publication(
        wish(case), by=case.admin, reason="Its keys are in it."
    ),
    "remove_found": lambda case: catalogue.remove_found(
        inspection(case), by=case.alice, paths=[(1, "/etc/ssh/k")], create_key=uuid4()
    ),
    "remove_image": lambda case: catalogue.remove_image(
        image_on_disk(case), by=case.alice, reason="Old.", pen=catalogue_examples.pen(case)
    ),
    "withdraw_publication": lambda case: catalogue.withdraw_publication(
        wish(case), by=case.alice
    ),
}  # fmt: skip


def webhook(case: Any) -> Any:
    made, secret = actions.add_webhook(
        owner=case.alice, url="https://hooks.example.org/", kinds=["machine_ready"]
    )
    case.secret(secret)
    return made


def delivery(case: Any) -> Delivery:
    made = actions.test_webhook(webhook(case), by=case.alice)
    Delivery.objects.filter(pk=made.pk).update(state="given_up", next_tick_at=None)
    return Delivery.objects.select_related("webhook").get(pk=made.pk)


ACCOUNTS: Mapping[str, Example] = {
    "add_webhook": webhook,
    "change_webhook": lambda case: actions.change_webhook(
        webhook(case), url="https://other.example.org/", kinds=["machine_ready"], is_on=True,
        by=case.alice,
    ),
    "choose_mails": lambda case: actions.choose_mails(case.alice, ["machine_ready"]),
    "remove_webhook": lambda case: actions.remove_webhook(webhook(case), by=case.alice),
    "renew_webhook_secret": lambda case: case.secret(
        actions.renew_webhook_secret(webhook(case), by=case.alice)
    ),
    "send_again": lambda case: actions.send_again(delivery(case), by=case.alice),
    "test_webhook": delivery,
}  # fmt: skip

DISKS: Mapping[str, Example] = {
    "begin_saving": lambda case: disks.begin_saving(
        case.alice, vm_ref="a machine", vm_name="web", cloud="local", tag="Debian",
        size_bytes=1 << 30, create_key=uuid4(),
    ),
    "clean": lambda case: disks.clean(
        case.disk(), by=case.alice, paths={1: ["/etc/ssh/k"]}, create_key=uuid4()
    ),
}  # fmt: skip

#: They change nothing that the audit is about.
READS = {
    "registration": {"notify", "notify_programs", "read_notifications", "wants_mail"},
    "vms": {"alike", "check_image", "first_lease", "longest", "may_cancel", "may_save"},
    "marketplace": {"base_of", "has_known_sums", "next_version", "pen_to_save"},
    "volumes": {"tag_of"},
}
