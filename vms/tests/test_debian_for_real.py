"""What the portal tells machines, done by real Debian guests: a cluster, and the two recipes."""

from pathlib import Path

import pytest

from cloud.tests.contract import quiet
from cloud.types import DiskFormat, VolumeSource
from conftest import wait_for
from registration.tests.factories import UserFactory
from vms import actions
from vms.actions import ClusterOrder, Order
from vms.clusters import Wishes
from vms.context import Context, Part, parts_from, progress
from vms.models import VM, Recipe
from vms.states import ClusterState
from vms.tests import repository
from vms.tests.real import RealSite, image, real_site, tails, until, until_runs
from volumes.models import Volume
from volumes.tests.factories import VolumeFactory

pytestmark = [
    pytest.mark.django_db, pytest.mark.qemu, pytest.mark.slow, pytest.mark.timeout(900)
]  # fmt: skip

HOOK = """#!/bin/sh
exec >/root/said 2>&1
env | grep ^STRATUSLAB_ | sort
hello
su mpi -c 'echo by mpi >/home/shared/note; ssh node2 "id -un; hostname; cat /home/shared/note"'
"""
#: On a quiet machine both tests take less than five minutes each.
SET_UP_S = 700


@pytest.fixture
def site(settings):
    with real_site(settings) as made:
        yield made


def a_repository(site: RealSite, owner, packages: list[str], place: Path) -> Volume:
    content = repository.a_disk(image("debian"), packages)
    path = place / "repository.iso"
    path.write_bytes(content)
    disk = VolumeFactory(owner=owner, size_bytes=len(content), tag="repository")
    source = VolumeSource(path=path, format=DiskFormat.RAW, size_bytes=len(content))
    info = site.driver.import_volume(source, token=disk.token, on_progress=quiet)
    Volume.objects.filter(pk=disk.pk).update(cloud_ref=info.ref)
    disk.refresh_from_db()
    return disk


def test_a_cluster_of_debian_shares_a_folder_and_has_its_packages(site, tmp_path):
    ada = UserFactory(quota_machines=9, quota_vcpus=9, quota_memory_mib=9999)
    disk = a_repository(site, ada, ["nfs-kernel-server", "hello"], tmp_path)
    config = Part("cloud-config", "repository.yaml", repository.CONFIG)
    machine = Order(
        entry=site.entry("debian"), name="x", type_name="t", vcpus=1, memory_mib=512,
        ssh_keys=[site.public], disks=[(disk, True)], context=Context(parts=(config,)),
    )  # fmt: skip
    wishes = Wishes(user="mpi", shared_folder="/home/shared", packages=("hello",), hook=HOOK,
                    tolerate=True, keep_failed=True, minutes=20)  # fmt: skip
    order = ClusterOrder(name="lab", worker=machine, workers=1, master=machine, wishes=wishes)
    cluster = actions.launch_cluster(owner=ada, order=order)
    until(cluster, ClusterState.READY, ClusterState.FAILED, ClusterState.ENDED, within_s=SET_UP_S)
    assert cluster.state == ClusterState.READY, tails(cluster)
    master, worker = VM.objects.filter(cluster=cluster).order_by("node_number")
    assert site.on(master, "cat /root/said").splitlines() == [
        "STRATUSLAB_CMASTER=lab-master", "STRATUSLAB_CMAX_CORES=1", "STRATUSLAB_CSIZE=1",
        "STRATUSLAB_NC=0", "Hello, world!", "mpi", "lab-node2", "by mpi",
    ]  # fmt: skip
    address = master.nics.get().address.partition("/")[0]
    assert f"{address}:/home/shared on /home/shared type nfs" in site.on(worker, "mount")
    assert site.on(worker, "hello; . /etc/profile; echo $STRATUSLAB_NC") == "Hello, world!\n1\n"
    site.on(worker, "echo by worker >/home/shared/back")
    assert site.on(master, "cat /home/shared/back; stat -c %U /home/shared/note") == (
        "by worker\nmpi\n"
    )
    assert cluster.network.cidr in site.on(master, "exportfs -v")
    assert site.on(worker, "su mpi -c 'ssh master id -un'") == "mpi\n"
    assert site.on(master, "systemctl --failed --no-legend") == ""


LACKING = "could not be installed. Does this machine reach a repository of packages"
AGAIN = """
set -e
mkdir -p /mnt/repo
mount -o ro LABEL=REPO /mnt/repo
rm -f /etc/apt/sources.list
echo 'deb [trusted=yes] file:/mnt/repo ./' >/etc/apt/sources.list.d/repo.list
apt-get -q update
cloud-init single --name cc_package_update_upgrade_install --frequency always
sh /var/lib/cloud/instance/scripts/*web-page*
sh /var/lib/cloud/instance/scripts/*nfs-server*
"""
USE = """
set -e
curl -s http://localhost/
mount -t nfs 10.0.2.15:/srv/nfs /media
echo kept >/media/file
cat /srv/nfs/file
"""


def test_both_recipes_say_what_they_lack_and_then_work(site, tmp_path):
    ada = UserFactory(quota_machines=9, quota_vcpus=9, quota_memory_mib=9999)
    disk = a_repository(site, ada, ["nfs-kernel-server", "nginx"], tmp_path)
    recipes = Recipe.objects.filter(owner=None)
    parts = tuple(part for one in recipes for part in parts_from(one.context["parts"]))
    order = Order(
        entry=site.entry("debian"), name="both", type_name="t", vcpus=1, memory_mib=512,
        ssh_keys=[site.public], disks=[(disk, True)], context=Context(parts=parts),
    )  # fmt: skip
    vm = until_runs(actions.launch(owner=ada, order=order), within_s=120)
    wait_for(lambda: "finished at" in site.console(vm), within_s=SET_UP_S, every_s=1)
    said = site.console(vm)
    assert f"nginx {LACKING}" in said
    assert f"The NFS server {LACKING}" in said
    told = progress.read(said.encode())
    assert told.note == "cloud-init: Failed to install packages: ['nginx']"
    assert "Temporary failure resolving" in told.log
    assert "Unable to locate package nginx" in told.log

    status, printed = site.does(vm, AGAIN, within_s=SET_UP_S)
    assert status == 0, printed[-2000:]
    status, printed = site.does(vm, USE, within_s=120)
    assert status == 0, printed
    assert "<h1>both</h1>" in printed
    assert printed.endswith("</html>\nkept\n")
