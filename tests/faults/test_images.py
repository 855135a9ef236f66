"""Each process killed while an image arrives; then the machine runs, and nothing lies about."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import wait_for
from tests.faults.images import Images
from tests.faults.shaken import Shaken

pytestmark = pytest.mark.faults

MIB = 1 << 20
SIZE_BYTES = 256 * MIB
#: Far more than it takes; the machine is shared.
SETTLED_S = 120


@pytest.fixture
def images(tmp_path: Path) -> Iterator[Images]:
    one = Images(tmp_path)
    yield one
    one.close()


def row(shaken: Shaken, identifier: str) -> tuple[str, int]:
    sql = "SELECT state, bytes_done FROM marketplace_imagefile WHERE identifier = ?"
    found = shaken.portal.rows(sql, identifier)
    return (str(found[0][0]), int(found[0][1])) if found else ("", 0)


def strays(shaken: Shaken) -> list[Path]:
    landing = shaken.portal.home / "image-arrivals"
    return list(landing.iterdir()) if landing.exists() else []


@pytest.mark.parametrize("state", ["fetching", "unpacking", "copying"])
@pytest.mark.parametrize("victim", ["worker", "web", "redis"])
def test_a_killed_process_costs_no_image(
    shaken: Shaken, images: Images, victim: str, state: str
) -> None:
    name = f"{state}-{victim}"
    shaken.images[name] = identifier = images.add(
        shaken.portal, name, size_bytes=SIZE_BYTES, packed=state == "unpacking"
    )
    if state != "fetching":
        images.held.set()
    vm = shaken.launch(name)
    reached = {state, "ready"}  # a quick one may have passed it between two looks
    wait_for(lambda: row(shaken, identifier)[0] in reached, within_s=60, every_s=0.01)
    if state == "fetching":
        wait_for(lambda: row(shaken, identifier)[1] > 0, within_s=60, every_s=0.05)
    killed = shaken.portal.kill(victim)
    images.held.set()
    shaken.comes_back(victim, killed)
    shaken.reaches(vm, "running", within_s=SETTLED_S)
    shaken.is_whole(vm, runs=True)
    assert row(shaken, identifier)[0] == "ready"
    wait_for(lambda: not strays(shaken), within_s=90, every_s=0.5)
