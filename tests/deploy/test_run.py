"""deploy/run.py and its parts: what `make run` refuses, skips and makes again."""

import os
import socket
import stat
import subprocess
import sys

import pytest
import workspace
from debian import missing, wanted
from serve import Portal
from steps import Failed, Runner


@pytest.fixture
def make_run(checkout, tmp_path):
    """Start deploy/run.py as `make run` does, and return how it ended."""

    def start(**env: str) -> "subprocess.CompletedProcess[str]":
        surroundings = {"PATH": os.environ["PATH"], "PORTAL_HOME": str(tmp_path / "home")}
        return subprocess.run(
            [sys.executable, checkout / "deploy" / "run.py"],
            env=surroundings | env,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    return start


def test_a_taken_port_is_named_with_the_way_out(make_run):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = make_run(PORTAL_PORT=str(port))
    assert done.returncode == 1
    assert f"port {port}: Address already in use" in done.stderr
    assert f"PORTAL_PORT={port + 1} make run" in done.stderr


def test_a_port_that_is_no_number_is_refused(make_run):
    done = make_run(PORTAL_PORT="http")
    assert done.returncode == 1
    assert "PORTAL_PORT is 'http'; write a number from 1 to 65535." in done.stderr


def test_a_home_that_cannot_be_made_is_refused(make_run, tmp_path):
    (tmp_path / "file").touch()
    done = make_run(PORTAL_HOME=str(tmp_path / "file" / "home"))
    assert done.returncode == 1
    assert "Set PORTAL_HOME." in done.stderr


def test_the_second_portal_on_one_home_says_so_and_leaves(make_run, tmp_path):
    home = tmp_path / "home"
    (home / "run").mkdir(parents=True)
    first = Portal(home, {"PORTAL_HOST": "127.0.0.1", "PORTAL_PORT": "8765"})
    with first.only_one():
        done = make_run(PORTAL_PORT="8766")
    assert done.returncode == 1
    assert f"process {os.getpid()}, http://127.0.0.1:8765" in done.stderr


def test_secrets_are_closed_to_others_from_the_start(make_run, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        make_run(PORTAL_PORT=str(other.getsockname()[1]))
    home = tmp_path / "home"
    assert stat.S_IMODE(home.stat().st_mode) == 0o711
    assert stat.S_IMODE((home / "portal.sqlite3").stat().st_mode) == 0o600
    assert {stat.S_IMODE((home / name).stat().st_mode) for name in ("run", "logs")} == {0o700}


def test_a_stale_file_of_a_keeper_harms_nobody(tmp_path):
    (tmp_path / "run").mkdir()
    file = tmp_path / "run" / "web.pid"
    file.write_text(str(os.getpid()))  # a number that somebody else has now
    with Portal(tmp_path, {"PORTAL_HOST": "::1", "PORTAL_PORT": "8765"}).only_one():
        assert not file.exists()


def test_a_stamp_is_current_until_a_source_changes(checkout, tmp_path, monkeypatch):
    monkeypatch.setattr(workspace, "CHECKOUT", tmp_path)
    source = tmp_path / "requirements.txt"
    source.write_text("one")
    before = workspace.Stamp(tmp_path / "stamp", workspace.digest([source]))
    assert not before.is_current()
    before.write()
    assert before.is_current()
    source.write_text("two")
    assert not workspace.Stamp(tmp_path / "stamp", workspace.digest([source])).is_current()


def test_only_missing_packages_are_asked_for(tmp_path):
    packages = tmp_path / "packages.txt"
    packages.write_text("# comment\n\nbash  a shell\nno-such-package-of-ours  nothing\n")
    assert missing(wanted(packages)) == ["no-such-package-of-ours"]


def test_a_program_stands_in_for_its_package(tmp_path, monkeypatch):
    program = tmp_path / "no-such-package-of-ours"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert missing(["no-such-package-of-ours"]) == []


def test_a_failed_program_shows_its_last_lines_and_the_way_out(tmp_path, capsys):
    with pytest.raises(Failed, match=r"ended with 3\. Ask for help\."):
        Runner(tmp_path / "log").run(
            ["sh", "-c", "echo its reason; exit 3"], otherwise="Ask for help."
        )
    assert "| its reason" in capsys.readouterr().out
    assert "its reason" in (tmp_path / "log").read_text()
