"""Each process killed at each state of an image in the making: one machine, one image."""

import uuid

import pytest

from conftest import wait_for
from tests import post
from tests.builders import Builder
from tests.faults.shaken import Shaken, stored

pytestmark = pytest.mark.faults

#: Far more than each takes; the machine is shared.
SETTLED_S = 180
#: Long enough to be killed in, also when the portal takes its time to come back.
RECIPE = "echo begun\ni=0\nwhile [ $i -lt 20 ]; do i=$((i + 1)); echo round $i.; sleep 1; done\n"
#: Mails of new images that are still to be sent.
WAITING = "SELECT COUNT(*) FROM registration_outgoingmail WHERE kind = 'image_saved'"


@pytest.mark.parametrize("victim", ["worker", "redis", "web"])
def test_a_process_killed_at_every_state_leaves_one_machine_and_one_image(
    shaken: Shaken, victim: str
):
    builder = Builder(shaken.portal, shaken.person)
    title = f"Without {victim} {uuid.uuid4().hex[:8]}"
    build = builder.order("echo twice\nsleep 2\n", image=shaken.images["demo"], recipe=RECIPE,
                          title=title)  # fmt: skip
    vm, _ = builder.machine(build)
    shaken.vms.append(vm)

    def kill() -> None:
        killed = shaken.portal.kill(victim)
        shaken.comes_back(victim, killed)

    kill()  # STARTING: its machine is pending
    wait_for(lambda: builder.machine(build)[1] == "running", within_s=SETTLED_S)
    kill()  # STARTING: its guest boots
    builder.reaches(build, "working", within_s=SETTLED_S)
    kill()
    wait_for(lambda: builder.steps(build)[1][1] != "waiting", within_s=SETTLED_S, every_s=0.1)
    kill()
    builder.reaches(build, "saving", "done", within_s=SETTLED_S)
    kill()  # SAVING: its machine shuts down
    wait_for(lambda: builder.saving(build) != "planned", within_s=SETTLED_S, every_s=0.05)
    kill()  # SAVING: its disk is copied
    wait_for(lambda: builder.saving(build) in ("signing", "done"), within_s=SETTLED_S, every_s=0.05)
    kill()
    builder.ends(build, "done", within_s=SETTLED_S)

    shaken.reaches(vm, "done", within_s=SETTLED_S)
    shaken.is_whole(vm, runs=False)
    assert [step[1:3] for step in builder.steps(build)] == [("done", 0)] * 3
    assert builder.log(build).count("round 5.") == 1
    assert everything(shaken, vm) == (1, 1, 1, 1)
    wait_for(lambda: shaken.portal.rows(WAITING) == [(0,)], within_s=SETTLED_S, every_s=0.2)
    letters = post.letters(shaken.portal.home, shaken.person.email)
    about = [mail for mail in letters if title in post.text(mail)]
    assert len({str(mail["Message-ID"]) for mail in about}) == 1  # sent twice, it is one


def everything(shaken: Shaken, vm: str) -> tuple[int, ...]:
    """Builds, savings, disks and entries that this machine has come to."""
    asked = (
        "SELECT count(*) FROM vms_build b JOIN vms_vm v ON v.id = b.vm_id WHERE v.uuid = ?",
        "SELECT count(*) FROM vms_saving s JOIN vms_vm v ON v.id = s.vm_id WHERE v.uuid = ?",
        "SELECT count(*) FROM volumes_volume d WHERE d.state <> 'deleted' AND d.saved_name = "
        "(SELECT name FROM vms_vm WHERE uuid = ?)",
        "SELECT count(*) FROM marketplace_entry e WHERE e.title = (SELECT s.title FROM "
        "vms_saving s JOIN vms_vm v ON v.id = s.vm_id WHERE v.uuid = ?)",
    )
    return tuple(int(shaken.portal.rows(sql, stored(vm))[0][0]) for sql in asked)
