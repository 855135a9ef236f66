"""Drafts of disks of the embedded engine: what they say is what a launch will read."""

import hashlib
from pathlib import Path
from uuid import uuid4

import pytest

from cloud.diskfiles.tests import samples
from cloud.local.driver import LocalDriver
from conftest import _forget_clouds
from marketplace import actions
from marketplace.tests.drafting import endorser, measure
from volumes.tests.intake import arrive, landed

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

RAW = samples.disk()


@pytest.fixture
def engine(settings, tmp_path):
    settings.PORTAL_ARRIVALS = tmp_path / "arrivals"
    settings.PORTAL_DOWNLOADS = tmp_path / "downloads"
    options = {"home": tmp_path / "cloud", "disk_floor_bytes": 0}
    settings.CLOUDS = {"local": {"DRIVER": "cloud.local.driver.LocalDriver", "OPTIONS": options}}
    _forget_clouds()
    yield LocalDriver(**options)
    _forget_clouds()


@pytest.mark.parametrize("kind", ["raw", "qcow2", "VDI"])
def test_whatever_a_disk_came_as_its_raw_bytes_are_measured(engine, settings, tmp_path, kind):
    ada = endorser()
    volume = arrive(landed(samples.make(tmp_path, kind, RAW).read_bytes(), owner=ada))
    assert volume.state == "available", volume.reason
    draft = measure(actions.draft_of_disk(volume, by=ada, create_key=uuid4()))
    assert draft.state == "ready", draft.reason
    assert draft.size_bytes == len(RAW)
    assert draft.sha1 == hashlib.sha1(RAW).hexdigest()  # noqa: S324
    assert draft.sha512 == hashlib.sha512(RAW).hexdigest()
    downloads = Path(settings.PORTAL_DOWNLOADS)
    assert not downloads.exists() or list(downloads.iterdir()) == []
