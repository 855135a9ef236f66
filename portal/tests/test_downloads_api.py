"""Downloads of disks, as a program meets them."""

import pytest

from portal.tests.test_api import Program
from registration.models import Scope
from registration.tests.factories import UserFactory
from volumes.actions import ask_download
from volumes.models import ExportFormat
from volumes.tests.factories import VolumeFactory

pytestmark = pytest.mark.django_db

MIB = 1 << 20


@pytest.fixture
def disk(cloud, settings, tmp_path):
    settings.PORTAL_DOWNLOADS = tmp_path / "downloads"
    volume = VolumeFactory(size_bytes=4 * MIB)
    cloud.put_volume(volume.token, size_bytes=4 * MIB, data=b"results")
    return volume


def test_a_program_has_a_file_made_and_removes_it(worker, disk):
    program = Program(disk.owner)
    asked = program.post(f"/disks/{disk.uuid}/downloads", {"format": "raw.zst"})
    assert asked.status_code == 201
    told = asked.json()
    assert (told["state"], told["url"], told["sha256"]) == ("preparing", "", "")
    worker.run()
    told = program.get(f"/downloads/{told['uuid']}").json()
    assert told["state"] == "ready"
    assert told["url"].endswith(f"/volumes/downloads/{told['uuid']}/")
    assert len(told["sha256"]) == 64
    assert program.get(f"/disks/{disk.uuid}/downloads").json() == [told]
    for _ in range(2):
        assert program.ask("DELETE", f"/downloads/{told['uuid']}").status_code == 204
    assert program.get(f"/disks/{disk.uuid}/downloads").json() == []


def test_a_program_meets_the_same_refusals(disk):
    stranger, owner = Program(UserFactory()), Program(disk.owner)
    path = f"/disks/{disk.uuid}/downloads"
    assert stranger.post(path, {}).status_code == 404
    assert stranger.get(path).status_code == 404
    assert owner.post(path, {"format": "vdi"}).status_code == 422
    assert owner.post(path, {"snapshot": str(disk.uuid)}).status_code == 404
    export = ask_download(disk, by=disk.owner, format=ExportFormat.RAW)
    assert stranger.get(f"/downloads/{export.uuid}").status_code == 404
    assert stranger.ask("DELETE", f"/downloads/{export.uuid}").status_code == 404


def test_a_token_that_reads_has_nothing_made(disk):
    reader = Program(disk.owner, scope=Scope.READ)
    assert reader.post(f"/disks/{disk.uuid}/downloads", {}).json()["code"] == "scope"
