"""The pages of batches: how far they are, what is asked of them all, lists to take away."""

import csv
import io
import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import yaml
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from marketplace.tests.factories import EntryFactory
from registration.tests.factories import UserFactory
from vms.batches import exports
from vms.models import VM, Batch, InstanceType, Readiness
from vms.states import VmState
from vms.tests.factories import VMFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice(client):
    user = UserFactory(quota_machines=60, quota_vcpus=100, quota_memory_mib=100_000)
    client.force_login(user)
    return user


def batch_of(owner, *machines, name="web"):
    batch = Batch.objects.create(owner=owner, uuid=uuid4(), name=name, asked=len(machines))
    VM.objects.filter(pk__in=[vm.pk for vm in machines]).update(batch=batch)
    return batch


def launch_form(entry, **more):
    return {
        "entry": entry.uuid, "launch_key": uuid4(), "name": "web", "type_name": "m1.small",
        "without_key": "on", "count": 3, **more,
    }  # fmt: skip


@pytest.fixture
def entry(alice):
    InstanceType.objects.all().delete()
    InstanceType.objects.create(name="m1.small", vcpus=1, memory_mib=512)
    return EntryFactory()


def test_several_machines_at_once_become_a_batch(client, alice, entry):
    answer = client.post(f"/vms/launch/?image={entry.identifier}", launch_form(entry))
    batch = Batch.objects.get()
    assert answer.url == batch.get_absolute_url()
    assert [vm.name for vm in batch.vms.order_by("pk")] == ["web-1", "web-2", "web-3"]


def test_the_same_launch_sent_twice_is_one_batch(client, alice, entry):
    form = launch_form(entry)
    for _ in range(2):
        client.post(f"/vms/launch/?image={entry.identifier}", form)
    assert VM.objects.count() == 3


def test_long_names_keep_their_number(client, alice, entry):
    client.post(f"/vms/launch/?image={entry.identifier}", launch_form(entry, name="n" * 80))
    assert {len(vm.name) for vm in VM.objects.all()} == {80}
    assert {vm.name[-2:] for vm in VM.objects.all()} == {"-1", "-2", "-3"}


def test_more_than_fifty_are_refused_beside_the_field(client, alice, entry):
    answer = client.post(f"/vms/launch/?image={entry.identifier}", launch_form(entry, count=51))
    assert answer.status_code == 422
    assert "less than or equal to 50" in answer.content.decode()


def test_the_page_of_a_batch_says_how_far_it_is(client, alice):
    ready, booting, failed = (
        VMFactory(owner=alice, running=True),
        VMFactory(owner=alice, state=VmState.BOOT),
        VMFactory(owner=alice, state=VmState.FAILED, reason="No room."),
    )
    Readiness.objects.filter(vm=ready).update(ssh_at=timezone.now() + timedelta(seconds=4))
    page = client.get(batch_of(alice, ready, booting, failed).get_absolute_url()).content.decode()
    assert "1 of 3 ready" in page
    assert "1 on the way" in page
    assert "1 failed or lost" in page
    assert "Given up in 4 min 59 s." in page or "Given up in 5 min 0 s." in page
    assert "No room." in page


def test_a_batch_of_somebody_else_is_not_there(client, alice):
    batch = batch_of(UserFactory(), VMFactory())
    for name in ("vms:batch", "vms:kill_batch", "vms:shut_down_batch"):
        ask = client.get if name == "vms:batch" else client.post
        assert ask(reverse(name, args=[batch.uuid])).status_code == 404


def test_all_of_a_batch_are_killed_at_once(client, alice):
    machines = [VMFactory(owner=alice, running=True), VMFactory(owner=alice, state=VmState.DONE)]
    batch = batch_of(alice, *machines)
    answer = client.post(reverse("vms:kill_batch", args=[batch.uuid]), follow=True)
    assert "Kill: asked of 1 machine." in answer.content.decode()
    assert VM.objects.get(pk=machines[0].pk).state == VmState.EPILOG


def test_pages_of_batches_ask_as_often_whatever_their_number(client, alice):
    counts = []
    for number in (2, 6):
        batch = batch_of(alice, *VMFactory.create_batch(number, owner=alice))
        for url in (
            batch.get_absolute_url(),
            "/vms/batches/",
            f"/vms/export/?batch={batch.uuid}&format=csv",
        ):
            with CaptureQueriesContext(connection) as queries:
                b"".join(getattr(client.get(url), "streaming_content", ()))
            counts.append(len(queries))
    assert counts[:3] == counts[3:]


# Lists to take away -------------------------------------------------------------------------


def taken(client, form, **asked):
    answer = client.get("/vms/export/", {"format": form, **asked})
    assert answer.status_code == 200
    whole = getattr(answer, "streaming_content", None)
    return (b"".join(whole) if whole else answer.content).decode("utf-8-sig")


def test_a_list_as_text_has_id_address_and_name_a_line(client, alice):
    vm, waiting = VMFactory(owner=alice, running=True, name="a, b"), VMFactory(owner=alice)
    assert taken(client, "text") == (
        f"{vm.pk}, 127.0.0.1:20022, a  b\n{waiting.pk}, , {waiting.name}\n"
    )


def test_lists_have_only_machines_that_the_person_may_see(client, alice):
    other = VMFactory(running=True)
    batch = batch_of(other.owner, other)
    assert taken(client, "text", vm=other.uuid) == ""
    assert taken(client, "text", batch=batch.uuid) == ""


def test_a_list_of_what_is_ticked_and_of_what_is_found(client, alice):
    one, two = VMFactory(owner=alice, name="db"), VMFactory(owner=alice, name="web")
    posted = client.post("/vms/export/", {"format": "text", "vm": [one.uuid]})
    assert posted.content.decode() == f"{one.pk}, , db\n"
    assert taken(client, "text", q="web") == f"{two.pk}, , web\n"


def test_no_cell_of_a_table_is_a_formula(client, alice):
    VMFactory(owner=alice, name="=HYPERLINK(1)")
    [row] = csv.DictReader(io.StringIO(taken(client, "csv")))
    assert row["name"] == "'=HYPERLINK(1)"


def test_a_list_as_json_says_what_a_machine_is(client, alice):
    vm = VMFactory(owner=alice, running=True)
    [one] = json.loads(taken(client, "json"))
    assert (one["uuid"], one["host"], one["port"], one["user"]) == (
        vm.token, "127.0.0.1", 20022, "root",
    )  # fmt: skip


def test_an_unknown_format_is_not_there(client, alice):
    assert client.get("/vms/export/?format=exe").status_code == 404


HOSTILE = "web\nHost *\n  ProxyCommand touch /tmp/owned"


def named(**more):
    plain = {
        "number": 7, "uuid": str(uuid4()), "name": "web", "label": "web", "state": "running",
        "host": "127.0.0.1", "port": 20022, "user": "root", "group": "", "image": "demo",
        "type": "m1.small", "vcpus": 1, "memory_mib": 512, "created_at": "2026-01-01",
    }  # fmt: skip
    return exports.Listed(**{**plain, **more})


def test_ssh_itself_reads_the_config(tmp_path):
    one, two = named(), named(number=8, port=20023, user="ubuntu")
    path = tmp_path / "config"
    path.write_text(exports.ssh_config([one, two]))
    for name, port, user, uuid in (
        ("web", 20022, "root", one.uuid),
        ("web-8", 20023, "ubuntu", two.uuid),
    ):
        said = subprocess.run(
            ["ssh", "-G", "-F", path, name], capture_output=True, text=True, check=True
        ).stdout.splitlines()
        assert {
            "hostname 127.0.0.1",
            f"port {port}",
            f"user {user}",
            f"hostkeyalias {uuid}",
        } <= set(said)


@pytest.mark.parametrize("field", ["name", "label", "host", "user", "group", "image"])
@pytest.mark.parametrize("writer", [exports.ssh_config, exports.ansible_ini, exports.ansible_yaml])
def test_nothing_of_a_machine_becomes_an_instruction(field, writer):
    assert "ProxyCommand" not in writer([named(**{field: HOSTILE})])


def test_names_in_lists_are_unique():
    names = [named(number=number, label=label) for number, label in
             enumerate(["web", "web", "web-2", "Überall", "web"], 1)]  # fmt: skip
    hosts = yaml.safe_load(exports.ansible_yaml(names))["all"]["hosts"]
    assert len(hosts) == 5


def test_both_inventories_say_the_same():
    machines = [
        named(group="My web"),
        named(number=8, label="db", group="all"),
        named(number=9, host=""),
    ]
    top = yaml.safe_load(exports.ansible_yaml(machines))["all"]
    assert {name: list(group["hosts"]) for name, group in top["children"].items()} == {
        "my_web": ["web"], "group_all": ["db"],
    }  # fmt: skip
    assert top["hosts"]["db"] == {
        "ansible_host": "127.0.0.1", "ansible_port": 20022, "ansible_user": "root",
        "ansible_ssh_common_args": f"-o HostKeyAlias={machines[1].uuid}",
    }  # fmt: skip
    lines = exports.ansible_ini(machines).splitlines()
    assert (
        "db ansible_host=127.0.0.1 ansible_port=20022 ansible_user=root "
        f"ansible_ssh_common_args='-o HostKeyAlias={machines[1].uuid}'"
    ) in lines
    assert lines[-2:] == ["[group_all]", "db"]


@pytest.mark.slow
@pytest.mark.parametrize("form", ["ansible", "ansible-yaml"])
def test_ansible_itself_reads_the_inventories(tmp_path, form):
    path = tmp_path / exports.FORMATS[form].file
    path.write_text(exports.WRITERS[form]([named(group="My web"), named(number=8, group="all")]))
    said = subprocess.run(
        [Path(sys.executable).with_name("ansible-inventory"), "-i", path, "--list"],
        capture_output=True,
        text=True,
        check=True,
        env={"LC_ALL": "C.UTF-8", "HOME": str(tmp_path)},
    )
    found, warned = json.loads(said.stdout), said.stderr
    assert found["my_web"]["hosts"] == ["web"]
    said = found["_meta"]["hostvars"]["web-8"]
    assert said["ansible_port"] == 20022
    assert said["ansible_ssh_common_args"].startswith("-o HostKeyAlias=")
    assert "WARNING" not in warned


# Shut down and save several --------------------------------------------------------------------


ANSWERS = {"do": "save", "many": "1", "title": "{name}, ready", "comment": "All set up.",
           "author": "Alice", "email": "alice@example.org", "version": "1.0"}  # fmt: skip


def test_several_machines_are_saved_each_under_its_name(client, alice):
    alice.quota_images = 5
    alice.save()
    machines = [VMFactory(owner=alice, running=True, name=name) for name in ("db", "web")]
    batch = batch_of(alice, *machines)
    asked = client.post("/vms/save/", {"batch": batch.uuid}).content.decode()
    assert "Shut down and save 2 machines" in asked
    client.post("/vms/save/", {"vm": [vm.uuid for vm in machines], **ANSWERS})
    assert [vm.saving.title for vm in VM.objects.order_by("pk")] == ["db, ready", "web, ready"]
    assert {vm.state for vm in VM.objects.all()} == {VmState.SHUTDOWN}


def test_one_that_cannot_be_saved_is_named_and_the_others_go_on(client, alice):
    alice.quota_images = 1
    alice.save()
    machines = [VMFactory(owner=alice, running=True, name=name) for name in ("db", "web")]
    answer = client.post(
        "/vms/save/", {"vm": [vm.uuid for vm in machines], **ANSWERS}, follow=True
    ).content.decode()
    assert "asked of 1 machine" in answer
    assert "web: Your quota is 1 image" in answer


def test_machines_of_others_are_never_saved(client, alice):
    other = VMFactory(running=True)
    answer = client.post("/vms/save/", {"vm": [other.uuid], **ANSWERS}, follow=True)
    assert "None of these can be shut down and saved" in answer.content.decode()
    assert VM.objects.get().state == VmState.RUNNING


def test_one_title_for_several_images_is_refused(client, alice):
    vm = VMFactory(owner=alice, running=True)
    answer = client.post("/vms/save/", {"vm": [vm.uuid], **ANSWERS, "title": "same"})
    assert answer.status_code == 422
    assert "Write {name} somewhere" in answer.content.decode()
