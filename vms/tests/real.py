"""Real machines under the portal's own worker: a cloud, images in it, and their logins."""

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import conftest
from cloud.images import debian, mini
from cloud.local.driver import LocalDriver
from cloud.tests.conformance import a_source
from cloud.tests.contract import quiet
from cloud.tests.real import CACHE, PREFIX, a_driver, end_all, ssh
from conftest import Worker, wait_for
from marketplace.models import Entry
from marketplace.tests.factories import EntryFactory, ImageFileFactory
from vms.models import VM, Cluster
from vms.states import VmState

OPTIONS = {"disk_floor_bytes": 1 << 20, "memory_reserve_mib": 256}
BUILDERS = {"demo": mini, "debian": debian}


@dataclass(frozen=True)
class RealSite:
    """A site's engine, and a key pair of somebody who uses it."""

    driver: LocalDriver
    key: Path

    @property
    def public(self) -> str:
        return self.key.with_suffix(".pub").read_text().strip()

    def entry(self, system: str) -> Entry:
        """The image of "demo" or "debian", ready to launch. It is built once a version."""
        path = image(system)
        entry = EntryFactory(title=system.title(), os="Linux", default_user="root")
        self.driver.import_image(a_source(path), token=entry.identifier, on_progress=quiet)
        ImageFileFactory(entry=entry, ready=True)
        return entry

    def on(self, vm: VM, command: str) -> str:
        """What a command that ends well prints, as root."""
        return ssh(self.key, self.driver.get_vm(vm.cloud_ref), command)

    def does(self, vm: VM, program: str, *, within_s: float) -> tuple[int, str]:
        """Exit status and output of a program that takes long, or fails; as root."""
        mark = uuid.uuid4().hex
        argv = f"cat >/root/{mark}; (sh /root/{mark} >/root/{mark}.out 2>&1 </dev/null; "
        argv += f"echo $? >/root/{mark}.status) >/dev/null 2>&1 &"
        self._bring(vm, argv, program)
        look = f"cat /root/{mark}.status 2>/dev/null || true"
        status = wait_for(lambda: self.on(vm, look).strip(), within_s=within_s, every_s=1)
        return int(status), self.on(vm, f"cat /root/{mark}.out")

    def _bring(self, vm: VM, command: str, text: str) -> None:
        port = self.driver.get_vm(vm.cloud_ref).endpoints[0].port
        flags = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-q"]
        argv = ["ssh", *flags, "-i", str(self.key), "-p", str(port), "root@127.0.0.1", command]
        subprocess.run(argv, input=text.encode(), check=True, timeout=120)

    def console(self, vm: VM) -> str:
        return self.driver.console_log(vm.cloud_ref, max_bytes=4 << 20).decode(errors="replace")


def image(system: str) -> Path:
    builder = BUILDERS[system]
    path = CACHE / f"{system}-{builder.VERSION}.qcow2"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        builder.build(path, cache_dir=CACHE / "debs")
    return path


@contextmanager
def real_site(settings) -> Iterator[RealSite]:
    home = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    settings.CLOUDS = {
        "local": {
            "DRIVER": "cloud.local.driver.LocalDriver",
            "OPTIONS": {"home": home / "cloud", **OPTIONS},
        }
    }
    conftest._forget_clouds()
    key = home / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    try:
        yield RealSite(a_driver(home / "cloud"), key)
    finally:
        end_all(home / "cloud")
        shutil.rmtree(home, ignore_errors=True)
        conftest._forget_clouds()


def tails(cluster: Cluster) -> str:
    said = cluster.nodes.values()
    return "\n".join([cluster.reason, *(f"{one['name']}: {one.get('tail')}" for one in said)])


def until(cluster: Cluster, *states: str, within_s: float) -> Cluster:
    """Work until the cluster is in one of these."""
    worker = Worker()

    def is_there() -> bool:
        worker.step()
        cluster.refresh_from_db()
        return cluster.state in states

    wait_for(is_there, within_s=within_s, every_s=0.2)
    return cluster


def until_runs(vm: VM, *, within_s: float = 60) -> VM:
    worker = Worker()

    def runs() -> bool:
        worker.step()
        vm.refresh_from_db()
        return vm.state == VmState.RUNNING

    wait_for(runs, within_s=within_s, every_s=0.2)
    return vm
