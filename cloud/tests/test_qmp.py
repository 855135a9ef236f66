"""QEMU's monitor as a peer that may leave at any moment."""

import json
import socket
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from cloud.local import qmp


class Leaver:
    """A monitor that greets, agrees to the capabilities and hangs up in the same breath.

    The first ``late`` clients hear an event first, which was meant for the one before them.
    """

    def __init__(self, path: Path, *, late: int = 0, answers: bool = False) -> None:
        self._late, self._answers = late, answers
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(8)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        greeting = {"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 0}}}}
        greeting["QMP"].update(package="", capabilities=[])
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            with peer, suppress(ConnectionError):
                if self._late:
                    self._late -= 1
                    peer.sendall(EVENT)
                peer.sendall(json.dumps(greeting).encode() + b"\n")
                peer.recv(4096)
                peer.sendall(b'{"return": {}}\n')
                if self._answers:
                    asked = json.loads(peer.recv(4096))
                    peer.sendall(json.dumps({"return": "well", "id": asked["id"]}).encode() + b"\n")
                    peer.recv(4096)

    def close(self) -> None:
        self._listener.close()


EVENT = b'{"event": "DEVICE_DELETED", "data": {}, "timestamp": {"seconds": 1, "microseconds": 0}}\n'


@pytest.fixture
def leaver(tmp_path):
    folder = _folder(tmp_path)
    peer = Leaver(folder / "qmp")
    yield folder
    peer.close()


def _folder(tmp_path):
    folder = tmp_path / "machine" / "run"
    folder.mkdir(parents=True)
    return folder


def test_a_monitor_that_leaves_as_it_greets_is_no_answer(leaver):
    for _ in range(20):
        with pytest.raises(qmp.NoAnswer):
            qmp.ask(leaver, "query-status", timeout_s=5)


def test_one_that_leaves_does_not_spoil_the_answers_of_others(leaver):
    assert qmp.ask_all([leaver], "query-status", timeout_s=5) == {}


def test_an_event_for_somebody_who_left_is_passed_over(tmp_path):
    folder = _folder(tmp_path)
    peer = Leaver(folder / "qmp", late=2, answers=True)
    assert qmp.ask(folder, "query-status", timeout_s=5) == "well"
    peer.close()
