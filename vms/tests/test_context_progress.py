"""What a guest's serial line says about its contextualization."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vms.context import progress

REAL = b"""\
[    0.000000] Linux version 6.1.0-37-cloud-amd64\r
[   12.345678] cloud-init[321]: Cloud-init v. 22.4.2 running 'init-local' at Sat, 21 Nov 2026\r
[   15.345678] cloud-init[345]: Cloud-init v. 22.4.2 running 'init' at Sat, 21 Nov 2026 23:00:02\r
[   20.345678] cloud-init[456]: Cloud-init v. 22.4.2 running 'modules:config' at Sat, 21 Nov\r
[   25.345678] cloud-init[567]: Cloud-init v. 22.4.2 running 'modules:final' at Sat, 21 Nov\r
"""


def test_the_stages_of_cloud_init_are_told_in_their_order():
    seen = progress.read(REAL)
    assert [step.split()[1] for step in seen.steps] == ["reads", "makes", "configures", "installs"]
    assert (seen.note, seen.is_done) == ("", False)
    done = (
        b"[ 30.0] cloud-init[567]: Cloud-init v. 22.4.2 finished at Sat, 21 Nov. Datasource X\r\n"
    )
    assert progress.read(REAL + done).is_done


def test_a_script_that_real_cloud_init_could_not_run_is_told_with_what_came_before():
    failed = (
        b"[   26.0] cloud-init[567]: apt-get: no such host\r\n"
        b"[   26.1] cloud-init[567]: 2026-11-21 23:00:09,001 - cc_scripts_user.py[WARNING]: Failed"
        b" to run module scripts-user (scripts in /var/lib/cloud/instance/scripts)\r\n"
    )
    seen = progress.read(REAL + failed)
    assert seen.note.startswith("A script of the user data failed")
    assert "apt-get: no such host" in seen.log


def test_the_demo_images_scripts_are_told_one_by_one():
    seen = progress.read(
        b"portal-context: started\n\x1b[31mboom\x1b[0m\nportal-context: script a.sh exit 0\n"
        b"no such file\nportal-context: script b.sh exit 7\nportal-context: script c.sh exit 9\n"
        b"portal-context: finished\n"
    )
    assert seen.steps == (
        "a.sh ended well", "b.sh ended with status 7", "c.sh ended with status 9",
    )  # fmt: skip
    assert seen.note.startswith("b.sh ended with status 7")
    assert seen.log.splitlines()[-1] == "no such file"
    assert "boom" in seen.log.splitlines()
    assert seen.is_done


def test_the_command_of_a_hepix_guest_is_told():
    seen = progress.read(b"context: SCRIPT_EXEC exit 3\n")
    assert seen.steps == ("SCRIPT_EXEC ended with status 3",)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"portal-context: a.yaml: this image does not understand packages\n", "a.yaml: this"),
        (b"util.py[WARNING]: Failed loading yaml blob\n", "cloud-init: Failed loading yaml"),
    ],
)
def test_what_was_not_understood_is_told(line, said):
    assert progress.read(line).note.startswith(said)


@given(st.binary(max_size=500))
def test_whatever_a_guest_prints_is_plain_text_in_the_end(printed):
    seen = progress.read(printed + b"\nportal-context: script x exit 1\n")
    assert all(char.isprintable() or char in "\t\n" for char in seen.log)
