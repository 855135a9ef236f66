"""The embedded engine's parts that need no machine: what they write, choose and count."""

import io
import multiprocessing
import os
import socket
import time
import uuid
from dataclasses import replace
from multiprocessing.synchronize import Event
from pathlib import Path

import pycdlib
import pytest
import yaml

from cloud import media, peer, seeds
from cloud.diskfiles import child
from cloud.errors import CloudBusy, CloudRefused
from cloud.local import (
    accel,
    command,
    console,
    files,
    inspect,
    machine,
    ports,
    process,
    traffic,
)
from cloud.local.driver import LocalDriver
from cloud.local.machine import Machine, Record
from cloud.local.site import Site, image_name, is_machine_name
from cloud.types import VmPhase, VmSpec

TOKEN = "0f0e0d0c-0b0a-4908-8706-050403020100"
SPEC = VmSpec(
    name='Größe 機械 ",$(reboot)\n-x',
    vcpus=2,
    memory_mib=256,
    image="K" * 27,
    swap_mib=64,
    ssh_keys=('ssh-ed25519 AAAA alice@"home"', "ssh-rsa BBBB b: [c]\nrunner: x"),
    hostname="alices-vm",
)
TCG = accel.Accel("tcg")


def a_site(home: Path, **changes: object) -> Site:
    site = LocalDriver(home=home)._site
    site.make()
    return replace(site, **changes)


def a_record(**changes: object) -> Record:
    plain = Record(
        token=TOKEN, spec=SPEC, ports={22: 20022}, uid=None, created_at=1.0, queued_at=1.0
    )
    return replace(plain, **changes)


def read_seed(spec: VmSpec) -> dict[str, bytes]:
    disk = pycdlib.PyCdlib()
    disk.open_fp(io.BytesIO(media.iso(spec, token=TOKEN)))
    contents = {}
    for name in seeds.files(spec, token=TOKEN):
        file = io.BytesIO()
        disk.get_file_from_iso_fp(file, joliet_path=f"/{name}")
        contents[name] = file.getvalue()
    assert disk.pvd.volume_identifier.strip() == seeds.label(spec).encode()
    return contents


def test_the_seed_says_who_the_machine_is() -> None:
    about = yaml.safe_load(read_seed(SPEC)["meta-data"])
    assert about == {
        "instance-id": TOKEN,
        "local-hostname": "alices-vm",
        "public-keys": list(SPEC.ssh_keys),
    }


def test_user_data_is_in_the_seed_to_the_byte() -> None:
    data = "#!/bin/sh\r\necho 'größer' \0 \t\n\n"
    assert read_seed(replace(SPEC, user_data=data))["user-data"] == data.encode()


def test_without_user_data_the_keys_are_there_for_any_reader() -> None:
    data = read_seed(SPEC)["user-data"]
    assert data.startswith(b"#cloud-config\n")
    assert yaml.safe_load(data) == {"ssh_authorized_keys": list(SPEC.ssh_keys)}
    assert yaml.safe_load(read_seed(replace(SPEC, ssh_keys=()))["user-data"]) == {}


def test_nothing_a_person_types_is_in_the_command_line() -> None:
    spec = replace(SPEC, user_data="#!TYPED", hostname="typed-host", ssh_keys=("ssh-rsa TYPED",))
    argv = command.argv(
        a_record(spec=spec, uid=1234),
        accel=TCG,
        bind_address="127.0.0.1",
        opened={},
        wires={},
    )
    assert not [
        part
        for part in argv
        for typed in ("Größe", "reboot", "YPED", "typed", SPEC.image)
        if typed in part
    ]
    assert "user,id=net0,restrict=on,hostfwd=tcp:127.0.0.1:20022-:22" in argv


def test_a_smaller_share_is_nicer_and_never_too_nice() -> None:
    shares = [command.niceness(share) for share in (5.0, 1.0, 0.8, 0.5, 0.1, 0.0)]
    assert shares == [5, 5, 6, 8, 15, 19]


def test_a_record_comes_back_as_it_was_written() -> None:
    record = a_record()
    assert Record.from_json(record.to_json()) == record


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\0b", "é", "x" * 65, "a.b"])
def test_only_identifiers_become_file_names(name: str) -> None:
    with pytest.raises(CloudRefused):
        image_name(name)
    assert not is_machine_name(name)


def one_with_free_ones_above(count: int) -> socket.socket:
    """A listening socket whose next ports nobody else of this machine listens on."""
    while True:
        server = socket.create_server(("127.0.0.1", 0))
        port = server.getsockname()[1]
        above = range(port + 1, port + 1 + count)
        if above.stop <= 65536 and all(ports.is_free("127.0.0.1", one) for one in above):
            return server
        server.close()


def test_ports_are_free_and_of_the_range(tmp_path: Path) -> None:
    with one_with_free_ones_above(3) as server:
        taken = server.getsockname()[1]
        site = a_site(tmp_path, ports=(taken, taken + 3))
        chosen = ports.choose(site, 2, taken={taken + 1})
        assert sorted(chosen) == [taken + 2, taken + 3]
        with pytest.raises(CloudBusy, match="4 ports"):
            ports.choose(site, 3, taken={taken + 1})


def hold(path: Path, held: Event) -> None:
    with files.locked(path, wait_s=1, busy="busy"):
        held.set()
        time.sleep(60)  # noqa: TID251 - until it is killed


def test_a_lock_waits_for_its_time_and_a_killed_holder_lets_go(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    held = context.Event()
    other = context.Process(target=hold, args=(tmp_path / "lock", held))
    other.start()
    assert held.wait(10)
    began = time.monotonic()
    with (
        pytest.raises(CloudBusy, match="taken"),
        files.locked(tmp_path / "lock", wait_s=0.1, busy="taken"),
    ):
        pass
    assert 0.1 <= time.monotonic() - began < 2
    other.kill()
    other.join()
    with files.locked(tmp_path / "lock", wait_s=1, busy="taken"):
        pass


def test_a_half_made_machine_is_swept_and_one_being_made_is_not(tmp_path: Path) -> None:
    site = a_site(tmp_path)
    half_made = site.machines / f"{machine.NEW}{TOKEN}"
    half_made.mkdir()
    with Machine(site, TOKEN).locked():
        machine.sweep(site)
        assert half_made.exists()
    machine.sweep(site)
    assert not half_made.exists()
    assert files.names(site.locks) == []


def test_a_log_that_is_not_a_plain_file_of_ours_is_not_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    (tmp_path / "link").symlink_to(secret)
    (tmp_path / "hard").hardlink_to(secret)
    assert files.tail(tmp_path / "link", 10) == b""
    assert files.tail(tmp_path / "hard", 10) == b""


def test_the_console_log_is_one_across_the_cut(tmp_path: Path) -> None:
    one = Machine(a_site(tmp_path), TOKEN)
    one.run.mkdir(parents=True)
    (one.folder / "console.old").write_bytes(b"old ")
    (one.run / "console.log").write_bytes(b"new")
    assert console.log(one, 5) == b"d new"
    assert console.log(one, 2) == b"ew"


def test_traffic_outlives_its_connections_and_not_its_machine() -> None:
    books: traffic.Books = {}
    running = [a_record(started_at=5.0)]
    connection = traffic.Connection(port=20022, cookie=1, received=10, sent=20)
    stranger = replace(connection, port=80)
    traffic.account(books, running, [connection, stranger], [])
    assert books[TOKEN].total() == (10, 20)
    traffic.account(books, running, [], [replace(connection, sent=25)])
    assert books[TOKEN].total() == (10, 25)
    traffic.account(books, running, [replace(connection, cookie=2)], [])
    for _ in range(4):
        traffic.account(books, running, [], [])
    assert books[TOKEN].total() == (20, 45)
    traffic.account(books, [a_record(started_at=6.0)], [], [])
    assert books[TOKEN].total() == (0, 0)
    traffic.account(books, [], [], [])
    assert books == {}


def test_the_kernel_counts_a_connection_of_ours() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
        server.accept()[0] as accepted,
    ):
        client.sendall(b"x" * 1000)
        assert len(accepted.recv(2000, socket.MSG_WAITALL | socket.MSG_DONTWAIT)) == 1000
        port = server.getsockname()[1]
        found = [one for one in traffic.connections(socket.AF_INET) if one.port == port]
        assert [one.received for one in found] == [1000]


DAMAGE = ["", "{", "[]", "null", '{"spec": 1}', "\0" * 40]


@pytest.mark.parametrize("text", [*DAMAGE, a_record().to_json().decode().replace("{", "[", 1)])
def test_one_damaged_record_stops_nobody_else(tmp_path: Path, text: str) -> None:
    driver = LocalDriver(home=tmp_path, run_as="self")
    broken, sound, third = (str(uuid.uuid4()) for _ in range(3))
    for token in (broken, sound):
        driver.create_vm(SPEC, token=token)
    (tmp_path / "machines" / broken / "machine.json").write_text(text)
    assert driver.get_vm(sound).phase is VmPhase.STAGING
    assert driver.create_vm(SPEC, token=third).phase is VmPhase.STAGING
    assert driver.usage([broken, sound]) == {}
    assert {info.ref: info.phase for info in driver.list_vms()} == {
        broken: VmPhase.FAILED,
        sound: VmPhase.STAGING,
        third: VmPhase.STAGING,
    }
    driver.delete_vm(broken)
    assert driver.find_vm(broken) is None


@pytest.mark.parametrize(
    "name", ["junk", "00-junk", f"00-{TOKEN}", f"00-../{TOKEN}".replace("/", "_")]
)
def test_what_is_no_place_in_the_queue_is_thrown_out_of_it(tmp_path: Path, name: str) -> None:
    driver = LocalDriver(home=tmp_path, run_as="self")
    sound = str(uuid.uuid4())
    driver.create_vm(SPEC, token=sound)
    (tmp_path / "queue" / name).touch()
    assert driver.get_vm(sound).phase is VmPhase.STAGING
    assert [place.partition("-")[2] for place in files.names(tmp_path / "queue")] == [sound]


def test_a_record_that_is_mended_queues_again(tmp_path: Path) -> None:
    driver = LocalDriver(home=tmp_path, run_as="self")
    driver.create_vm(SPEC, token=TOKEN)
    path = tmp_path / "machines" / TOKEN / "machine.json"
    sound = path.read_bytes()
    path.write_bytes(b"")
    assert driver.get_vm(TOKEN).phase is VmPhase.FAILED
    path.write_bytes(sound)
    assert driver.get_vm(TOKEN).phase is VmPhase.STAGING
    assert files.names(tmp_path / "queue")


def test_what_the_engine_starts_sees_nothing_of_the_portals_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTAL_SECRET_KEY", "hunter2")
    said = tmp_path / "said"
    born = process.start(["env"], cwd=tmp_path, output=said, life=tmp_path / "life", niceness=0)
    assert process.has_let_go(tmp_path / "life", wait_s=10)
    assert not process.is_alive(born)
    known = {f"{name}={value}" for name, value in process.ENVIRONMENT.items()}
    assert set(said.read_text().splitlines()) == known
    jailed = inspect.jailed(["env"], cwd=Path("/"), uid=child.new_uid())
    assert set(jailed.stdout.decode().splitlines()) == known


def test_swap_is_bounded_by_memory_and_by_the_disk(tmp_path: Path) -> None:
    driver = LocalDriver(home=tmp_path, run_as="self")
    with pytest.raises(CloudRefused, match=r"513 MiB of swap; with 256 MiB .* up to 512\."):
        driver.create_vm(replace(SPEC, swap_mib=513), token=TOKEN)
    full = LocalDriver(home=tmp_path, run_as="self", disk_floor_bytes=1 << 60)
    with pytest.raises(CloudRefused, match="64 MiB of swap; this site's disk has 0 MiB free"):
        full.create_vm(SPEC, token=TOKEN)
    assert driver.find_vm(TOKEN) is None
    assert driver.create_vm(replace(SPEC, swap_mib=512), token=TOKEN).phase is VmPhase.STAGING
    full.create_vm(SPEC, token=TOKEN)
    full.stop_vm(TOKEN)
    full.start_vm(TOKEN)
    assert full.get_vm(TOKEN).phase is VmPhase.STAGING


def test_a_socket_is_known_by_its_listener(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(str(tmp_path / "s"))
        server.listen()
        client.connect(str(tmp_path / "s"))
        peer.must_be(os.geteuid(), client)
        with pytest.raises(PermissionError, match=f"user {os.geteuid()} listens there"):
            peer.must_be(os.geteuid() + 1, client)
