"""Whatever a killed process leaves half done is gone at the next sweep."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cloud.local import process
from cloud.local.driver import LocalDriver
from cloud.tests.conformance import IMAGE, new_token, until
from cloud.tests.real import run
from tests.processes import children

pytestmark = pytest.mark.faults

#: Do ``work``, and be killed at the n-th call of one of the system calls that change files.
KILLED = """
import os, signal
from pathlib import Path
from cloud.tests.real import a_driver, a_spec
def fatal(real):
    def call(*args, **kwargs):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)
    return call
left = {nth}
driver = a_driver(Path({home!r}))
for name in ("open", "replace", "rename", "unlink", "mkdir", "rmdir"):
    setattr(os, name, fatal(getattr(os, name)))
{work}
"""


def killed(home: Path, work: str, nth: int) -> bool:
    """Whether it came to the n-th call at all."""
    code = KILLED.format(nth=nth, home=str(home), work=work)
    done = subprocess.run([sys.executable, "-c", code], cwd=Path.cwd(), check=False)
    assert done.returncode in (0, -signal.SIGKILL)
    return done.returncode != 0


def files(home: Path) -> set[Path]:
    return set(home.rglob("*"))


def nothing_is_left(driver: LocalDriver, home: Path, token: str, before: set[Path]) -> None:
    assert list(driver.list_vms()) == []
    assert process.find(token, life=home / "none") == []
    assert files(home) == before


@pytest.fixture
def before(driver, home) -> set[Path]:
    """What a site with an image and no machine has on its disk."""
    driver.delete_vm(run(driver).ref)
    return files(home)


@pytest.mark.parametrize("nth", range(1, 60, 4))
def test_killed_while_deleting_and_never_asked_again(driver, home, before, nth):
    token = run(driver).ref
    killed(home, f"driver.delete_vm({token!r})", nth)
    if driver.find_vm(token):
        driver.delete_vm(token)
    nothing_is_left(driver, home, token, before)


@pytest.mark.parametrize("nth", range(1, 90, 6))
def test_killed_while_making_and_then_deleted(driver, home, before, nth):
    token = new_token()
    killed(home, f"driver.create_vm(a_spec(), token={token!r})", nth)
    if driver.find_vm(token):
        driver.delete_vm(token)
    nothing_is_left(driver, home, token, before)


def test_a_deleted_machine_is_no_zombie_of_ours(driver):
    token = run(driver).ref
    (child,) = process.find(token, life=Path("none"))
    driver.delete_vm(token)
    until(lambda: child.pid not in children(os.getpid()), within_s=1)


@pytest.mark.parametrize("nth", range(1, 12))
@pytest.mark.parametrize(
    "work", ["delete_image(IMAGE)", "import_image(source, token=IMAGE, on_progress=quiet)"]
)
def test_killed_while_an_image_comes_or_goes(driver, home, demo_image, nth, work):
    if work.startswith("import"):
        driver.delete_image(IMAGE)
    prepare = (
        "from cloud.tests.conformance import IMAGE, a_source, quiet\n"
        f"source = a_source(Path({str(demo_image)!r}))\n"
    )
    killed(home, f"{prepare}left = {nth}\ndriver.{work}", nth + 1000)
    list(driver.list_vms())
    whole = {f"{IMAGE}.json", f"{IMAGE}.qcow2"} if driver.find_image(IMAGE) else set()
    assert {path.name for path in (home / "images").iterdir()} == whole
