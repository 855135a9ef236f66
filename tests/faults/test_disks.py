"""Each process killed while disks are in each moving state; then no byte and no row is lost."""

import hashlib
import os
import re
import uuid
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud.local.driver import LocalDriver
from cloud.types import DiskFormat
from conftest import wait_for
from tests.faults.shaken import Shaken, stored
from tests.seeds import dashed

pytestmark = pytest.mark.faults

MIB = 1 << 20
CONTENT = os.urandom(MIB) * 48
#: Far more than each takes; the machine is shared.
SETTLED_S = 90


class Disks:
    """Somebody's disks on a portal whose processes die, asked for by its pages."""

    def __init__(self, shaken: Shaken) -> None:
        self.shaken = shaken
        self.person = shaken.person
        self.engine = LocalDriver(home=shaken.portal.home / "cloud")
        self.mine: list[str] = []

    # What is asked ---------------------------------------------------------------------

    def create(self, tag: str) -> str:
        fields = {"create_key": str(uuid.uuid4()), "size_gib": "1", "tag": tag,
                  "visibility": "private"}  # fmt: skip
        return self._kept(self.post("/volumes/new/", fields))

    def copy(self, disk: str, tag: str) -> str:
        fields = {"create_key": str(uuid.uuid4()), "tag": tag}
        return self._kept(self.post(f"/volumes/{disk}/copy/", fields))

    def upload(self, tag: str) -> str:
        """All of ``CONTENT``, as a raw disk."""
        said = {"filename": "data.img", "tag": tag, "format": "raw"}
        metadata = ",".join(
            f"{name} {b64encode(one.encode()).decode()}" for name, one in said.items()
        )
        tus = {"Tus-Resumable": "1.0.0", "X-CSRFToken": self.person.token(),
               "Referer": self.person.url}  # fmt: skip
        begun = self.person.http.post(
            "/volumes/uploads/",
            headers=tus | {"Upload-Length": str(len(CONTENT)), "Upload-Metadata": metadata},
        )
        assert begun.status_code == 201, begun.text
        where = begun.headers["location"]
        sent = self.person.http.patch(
            where,
            content=CONTENT,
            headers=tus | {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"},
        )
        assert sent.status_code == 204, sent.text
        return self._keep(where.rpartition("/")[2])

    def post(self, path: str, fields: dict[str, str]) -> str:
        """Send a form that is taken; where it leads."""
        answer = self.person.post(path, fields)
        assert answer.status_code == 302, (path, answer.status_code)
        return str(answer.headers["location"])

    def attach(self, disk: str, vm: str) -> None:
        self.post(f"/volumes/{disk}/attach/", {"mode": "write", "vm": vm})

    def detach(self, disk: str) -> None:
        ((plug,),) = self.shaken.portal.rows(
            "SELECT a.uuid FROM volumes_attachment a JOIN volumes_volume v ON v.id = a.volume_id "
            "WHERE v.uuid = ? AND a.state = 'attached'",
            stored(disk),
        )
        self.post(f"/attachments/{dashed(plug)}/detach/", {})

    def _kept(self, location: str) -> str:
        found = re.search(r"/volumes/([0-9a-f-]{36})/", location)
        assert found, location
        return self._keep(found[1])

    def _keep(self, disk: str) -> str:
        self.mine.append(disk)
        return disk

    # What is seen ----------------------------------------------------------------------

    def state(self, disk: str) -> str:
        sql = "SELECT state FROM volumes_volume WHERE uuid = ?"
        ((state,),) = self.shaken.portal.rows(sql, stored(disk))
        return str(state)

    def reaches(self, disk: str, *states: str) -> None:
        try:
            wait_for(lambda: self.state(disk) in states, within_s=SETTLED_S, every_s=0.1)
        except BaseException:
            sql = "SELECT state, reason FROM volumes_volume WHERE uuid = ?"
            print(disk, self.shaken.portal.rows(sql, stored(disk)), self.shaken.portal.log_tail())
            raise

    def content(self, disk: str, place: Path) -> bytes:
        """The first bytes of the disk, as the engine has them."""
        target = place / f"{uuid.uuid4()}.raw"
        self.engine.export_volume(disk, target, DiskFormat.RAW, on_progress=lambda *_: None)
        with target.open("rb") as file:
            found = file.read(len(CONTENT))
        target.unlink()
        return found

    def held(self) -> set[str]:
        """What the tables say that the engine has."""
        sql = "SELECT uuid FROM volumes_volume WHERE state NOT IN ('deleted', 'failed')"
        return {dashed(key) for (key,) in self.shaken.portal.rows(sql)}

    def there(self) -> set[str]:
        """What the engine has."""
        return {volume.ref for volume in self.engine.list_volumes()}

    def moving(self) -> list[tuple[str, str]]:
        tables = ("volume", "attachment", "snapshot", "export")
        sql = "SELECT uuid, state FROM volumes_{} WHERE next_tick_at IS NOT NULL"
        return [row for table in tables for row in self.shaken.portal.rows(sql.format(table))]

    def landed(self) -> list[Path]:
        place = self.shaken.portal.home / "arrivals"
        return list(place.iterdir()) if place.exists() else []

    def is_whole(self) -> None:
        """Nothing moves for ever, the engine has what the tables say, nothing lies about."""
        wait_for(lambda: not self.moving(), within_s=SETTLED_S, every_s=0.2)
        assert self.held() == self.there()
        wait_for(lambda: not self.landed(), within_s=SETTLED_S, every_s=0.5)

    def end(self) -> None:
        for disk in self.mine:
            if self.state(disk) == "available":
                self.post(f"/volumes/{disk}/delete/", {"disk": disk, "typed": self.tag(disk)})
            if self.state(disk) == "binned":
                self.post(f"/volumes/{disk}/purge/", {"disk": disk, "typed": self.tag(disk)})
        for disk in self.mine:
            self.reaches(disk, "deleted", "failed")
        self.is_whole()

    def tag(self, disk: str) -> str:
        sql = "SELECT tag FROM volumes_volume WHERE uuid = ?"
        ((tag,),) = self.shaken.portal.rows(sql, stored(disk))
        return str(tag)


@pytest.fixture
def disks(shaken: Shaken) -> Iterator[Disks]:
    one = Disks(shaken)
    yield one
    shaken.end_all()
    one.end()


@pytest.mark.parametrize("victim", ["worker", "web", "redis", "beat"])
def test_a_killed_process_costs_no_disk(disks: Disks, shaken: Shaken, victim: str, tmp_path: Path):
    """A disk in each moving state, held there by a worker that stands still."""
    vm = shaken.run("tiny")
    source = disks.upload("source")
    disks.reaches(source, "available")
    attached, growing, kept, ending, plain = (
        disks.create(tag) for tag in ("attached", "growing", "kept", "ending", "plain")
    )
    for disk in (attached, growing, kept, ending, plain):
        disks.reaches(disk, "available")
    disks.attach(attached, vm)
    disks.reaches(attached, "in_use")
    wait_for(lambda: not disks.moving(), within_s=SETTLED_S)

    shaken.pause_worker()
    creating, copying = disks.create("creating"), disks.copy(source, "copying")
    arriving = disks.upload("arriving")
    disks.post(f"/volumes/{growing}/grow/", {"size_gib": "2"})
    disks.post(f"/volumes/{kept}/snapshots/", {"name": "before"})
    disks.attach(plain, vm)
    disks.detach(attached)
    disks.post(f"/volumes/{ending}/delete/", {"disk": ending, "typed": "ending"})
    disks.post(f"/volumes/{ending}/purge/", {"disk": ending, "typed": "ending"})

    killed = shaken.portal.kill(victim)
    if victim != "worker":
        shaken.resume_worker()
    shaken.comes_back(victim, killed)

    for disk in (creating, copying, arriving, growing, kept, attached):
        disks.reaches(disk, "available")
    disks.reaches(plain, "in_use")
    disks.reaches(ending, "deleted")
    disks.is_whole()
    for disk in (copying, arriving, source):
        assert disks.content(disk, tmp_path) == CONTENT
    (info,) = disks.engine.list_vms()
    assert [disk.volume for disk in info.disks] == [plain]
    assert disks.engine.get_volume(growing).size_bytes == 2 << 30
    assert len(disks.engine.get_volume(kept).snapshots) == 1


def test_a_worker_killed_again_and_again_takes_a_file_in(disks: Disks, shaken: Shaken, tmp_path):
    """In whatever step it is: checked, read, converted."""
    disk = disks.upload("arriving")
    for _ in range(4):
        killed = shaken.portal.kill("worker")
        shaken.comes_back("worker", killed)
    disks.reaches(disk, "available")
    disks.is_whole()
    assert disks.content(disk, tmp_path) == CONTENT
    sql = "SELECT sha256 FROM volumes_volume WHERE uuid = ?"
    assert shaken.portal.rows(sql, stored(disk)) == [(hashlib.sha256(CONTENT).hexdigest(),)]


def test_a_machine_killed_while_it_is_given_a_disk_leaves_the_disk_free(disks: Disks, shaken):
    vm = shaken.run("tiny")
    disk = disks.create("thrown in")
    disks.reaches(disk, "available")
    shaken.pause_worker()
    disks.attach(disk, vm)
    shaken.ask(vm, "kill")
    killed = shaken.portal.kill("worker")
    shaken.comes_back("worker", killed)
    shaken.reaches(vm, "done")
    disks.reaches(disk, "available")
    disks.is_whole()
