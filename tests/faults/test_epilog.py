"""Each process killed at each step of the Epilog; then there is one disk, one entry, one mail."""

import hashlib
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from email.message import EmailMessage
from pathlib import Path

import pytest

from cloud.local.driver import LocalDriver
from cloud.types import DiskFormat
from conftest import wait_for
from tests import post
from tests.faults.shaken import Shaken, stored
from tests.seeds import dashed

pytestmark = pytest.mark.faults

#: Far more than it takes; the machine is shared.
SETTLED_S = 180
SAID = {"title": "Saved", "comment": "In pieces.", "author": "Mallory",
        "email": "mallory@example.org", "version": "1.1"}  # fmt: skip
#: In the order in which they are gone through: (machine, saving), and whether bytes must move.
STEPS = {
    "shutdown": ("shutdown", "planned"),
    "copying": ("epilog", "copying"),
    "signing": ("epilog", "signing"),
    "removing": ("epilog", "done"),
}
_ORDER = ["planned", "copying", "signing", "done"]


class Epilog:
    """The saving of one machine, as the database and the engine have it."""

    def __init__(self, shaken: Shaken, vm: str) -> None:
        self.shaken = shaken
        self.vm = vm
        self.engine = LocalDriver(home=shaken.portal.home / "cloud")

    def begin(self) -> None:
        """Planned first, then switched off: the guest does not hear the power button."""
        person = self.shaken.person
        planned = person.post(f"/vms/{self.vm}/save/", {**SAID, "go": "plan"})
        assert planned.status_code == 302, planned.status_code
        begun = person.post(f"/vms/{self.vm}/power-off/")
        assert begun.status_code in (200, 302), begun.status_code

    def state(self) -> str:
        (row,) = self.rows("s.state")
        return str(row[0])

    def is_at(self, step: str) -> bool:
        """Whether it has come to this step, or past it."""
        machine, saving = STEPS[step]
        now = self.state()
        if _ORDER.index(now) > _ORDER.index(saving):
            return True
        if now != saving:
            return False
        if step == "copying":
            return bool(self.rows("d.bytes_done")[0][0])
        return self.shaken.state(self.vm) in (machine, "done")

    def rows(self, columns: str) -> list[tuple[object, ...]]:
        return self.shaken.portal.rows(
            f"SELECT {columns} FROM vms_saving s JOIN vms_vm v ON v.id = s.vm_id "  # noqa: S608
            "LEFT JOIN volumes_volume d ON d.id = s.volume_id WHERE v.uuid = ?",
            stored(self.vm),
        )

    def disk(self) -> str:
        ((key,),) = self.shaken.portal.rows(
            "SELECT uuid FROM volumes_volume WHERE saved_from = ?", self.vm
        )
        return dashed(str(key))

    def sums_to(self, place: Path) -> str:
        """SHA-512 of what the engine has."""
        target = place / "saved.raw"
        self.engine.export_volume(self.disk(), target, DiskFormat.RAW, on_progress=lambda *_: None)
        with target.open("rb") as file:
            found = hashlib.file_digest(file, "sha512").hexdigest()
        target.unlink()
        return found

    def entries(self) -> list[tuple[object, ...]]:
        return self.shaken.portal.rows(
            "SELECT visibility, sha512, owner_id FROM marketplace_entry WHERE locations LIKE ?",
            f"%{self.disk()}%",
        )

    def mails(self) -> list[EmailMessage]:
        """By their ids: a mail that was sent twice is one."""
        about = [
            mail
            for mail in post.letters(self.shaken.portal.home, SAID["email"])
            if "New image created" in str(mail["Subject"]) and self.disk() in post.text(mail)
        ]
        return list({str(mail["Message-ID"]): mail for mail in about}.values())


def end_keys(shaken: Shaken) -> None:
    """As if nobody had a key yet."""
    path = shaken.portal.home / "portal.sqlite3"
    with closing(sqlite3.connect(path, timeout=30)) as database, database:
        database.execute(
            "UPDATE marketplace_signingkey SET slot = NULL, sealed = '', "
            "ended_at = '2026-01-01 00:00:00' WHERE slot LIKE 'user:%'"
        )


@pytest.fixture
def forget(shaken: Shaken) -> Iterator[list[str]]:
    """Disks that end with the test: the site is small."""
    disks: list[str] = []
    yield disks
    shaken.serves_pages()
    for disk in disks:
        for verb in ("delete", "purge"):
            shaken.person.post(f"/volumes/{disk}/{verb}/", {"disk": disk, "typed": SAID["title"]})


@pytest.mark.parametrize("step", list(STEPS))
@pytest.mark.parametrize("victim", ["worker", "web", "redis"])
def test_a_killed_process_costs_no_image(
    shaken: Shaken, forget: list[str], tmp_path: Path, victim: str, step: str
) -> None:
    vm = shaken.run("large")
    epilog = Epilog(shaken, vm)
    if step == "signing":  # making a key takes a second: time enough to be killed in
        end_keys(shaken)
    epilog.begin()
    wait_for(lambda: epilog.is_at(step), within_s=SETTLED_S, every_s=0.005)
    killed = shaken.portal.kill(victim)
    shaken.comes_back(victim, killed)
    shaken.reaches(vm, "done", within_s=SETTLED_S)
    shaken.is_whole(vm, runs=False)
    disk = epilog.disk()
    forget.append(disk)
    assert epilog.rows("s.state, d.state") == [("done", "available")]
    ((visibility, sha512, _),) = epilog.entries()
    assert visibility == "private"
    assert sha512 == epilog.sums_to(tmp_path)
    drafts = "SELECT d.state FROM marketplace_draft d JOIN volumes_volume v ON v.id = d.volume_id "
    assert shaken.portal.rows(f"{drafts} WHERE v.uuid = ?", stored(disk)) == [("published",)]
    (mail,) = wait_for(epilog.mails, within_s=60, every_s=0.2)
    (draft,) = [part for part in mail.iter_attachments() if part.get_filename()]
    assert re.search(rb"<slreq:value>" + str(sha512).encode(), draft.get_content())
    waiting = "SELECT COUNT(*) FROM registration_outgoingmail WHERE kind = 'image_saved'"
    assert shaken.portal.rows(waiting) == [(0,)]
    shaken.end_all()
