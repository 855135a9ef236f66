"""The pages of machines: what they show, to whom, and what they cost."""

import random
from uuid import uuid4

import pytest
from django.urls import reverse

from core.models import Event
from marketplace.tests.factories import EntryFactory
from registration.models import SshKey
from registration.tests.factories import UserFactory
from vms.models import VM, InstanceType, Readiness
from vms.states import VmState
from vms.tests.factories import VMFactory

pytestmark = pytest.mark.django_db

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEJ8kTTs2RA6h3KAIKQ4GdfzG2F0hnxvGXuNSk5nSOyA alice@lab"


@pytest.fixture
def alice():
    return UserFactory()


@pytest.fixture
def browser(client, alice):
    client.force_login(alice)
    return client


def launch(browser, entry, **fields):
    answers = {"launch_key": str(uuid4()), "name": "web", "type_name": "m1.small", **fields}
    return browser.post(f"/vms/launch/?image={entry.identifier}", answers)


def test_pressing_launch_at_once_works(browser, alice):
    SshKey.objects.create(
        owner=alice, name="laptop", public_key=KEY, fingerprint="x", is_default=True
    )
    entry = EntryFactory()
    page = browser.get(f"/vms/launch/?image={entry.identifier}")
    form = page.context["form"]
    answers = {name: form[name].value() for name in ("launch_key", "name", "type_name", "keys")}
    response = browser.post(f"/vms/launch/?image={entry.identifier}", answers)
    vm = VM.objects.get()
    assert (response.status_code, response.url) == (302, vm.get_absolute_url())
    assert vm.ssh_keys == KEY
    assert (vm.type_name, vm.memory_mib) == ("m1.small", 1536)


def test_the_default_key_is_added_when_none_is_chosen_and_said(browser, alice):
    SshKey.objects.create(
        owner=alice, name="laptop", public_key=KEY, fingerprint="x", is_default=True
    )
    response = launch(browser, EntryFactory())
    assert VM.objects.get().ssh_keys == KEY
    assert "your default SSH key was added" in browser.get(response.url).content.decode()


def test_a_pasted_key_is_used_and_kept(browser, alice):
    launch(browser, EntryFactory(), new_key=KEY)
    assert VM.objects.get().ssh_keys.split()[:2] == KEY.split()[:2]
    assert alice.ssh_keys.count() == 1


def test_without_any_key_the_form_says_what_to_do_and_keeps_the_rest(browser):
    response = launch(browser, EntryFactory(), name="my machine", user_data="#!/bin/sh\ntrue\n")
    text = response.content.decode()
    assert response.status_code == 422
    assert "Without a key nobody can log in by SSH" in text
    assert 'value="my machine"' in text
    assert "#!/bin/sh" in text
    assert not VM.objects.exists()


def test_a_console_only_machine_can_be_asked_for(browser):
    launch(browser, EntryFactory(), without_key="on")
    assert VM.objects.get().ssh_keys == ""


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("name", "x" * 81, "80 characters"),
        ("name", "two\nlines", "control characters"),
        ("vcpus", "0", "greater than or equal to 1"),
        ("memory_mib", "95", "greater than or equal to 96"),
        ("cpu_share", "2", "less than or equal to 1"),
        ("user_data", "hello", "Start with #!"),
        ("user_data", "#cloud-config\na: [", "no valid YAML in line"),
        ("user_data", "#cloud-config\n- a\n", "is a mapping"),
        ("new_key", "not a key", ""),
        ("type_name", "m9.huge", "valid choice"),
    ],
)
def test_bad_input_gets_its_error_and_makes_nothing(browser, field, value, words):
    response = launch(browser, EntryFactory(), **{"without_key": "on", field: value})
    assert response.status_code == 422
    assert field in response.context["form"].errors
    assert words in str(response.context["form"].errors[field])
    assert not VM.objects.exists()


def test_user_data_over_the_limit_says_both_numbers(browser):
    noise = "".join(random.Random(1).choices("0123456789abcdef", k=40_000))
    response = launch(browser, EntryFactory(), without_key="on", user_data=f"#!{noise}")
    assert "the limit is 16384" in str(response.context["form"].errors["user_data"])


def test_overrides_replace_what_the_size_says(browser):
    launch(browser, EntryFactory(), without_key="on", vcpus="2", memory_mib="256", swap_mib="0",
           cpu_share="0.5", disk_bus="virtio")  # fmt: skip
    vm = VM.objects.get()
    assert (vm.vcpus, vm.memory_mib, vm.swap_mib, vm.cpu_share) == (2, 256, 0, 0.5)


def test_a_name_in_any_script_is_shown_safely(browser):
    name = "<b>ψ 東京 \"'</b>"
    response = launch(browser, EntryFactory(), without_key="on", name=name)
    text = browser.get(response.url).content.decode()
    assert name not in text
    assert "&lt;b&gt;ψ 東京" in text
    assert VM.objects.get().hostname == "b-b"


def test_launching_asks_a_visitor_to_sign_in_and_come_back(client):
    entry = EntryFactory()
    response = client.get(f"/vms/launch/?image={entry.identifier}")
    assert response.status_code == 302
    assert f"image%3D{entry.identifier}" in response.url


def test_sizes_that_do_not_fit_say_why(browser, alice):
    alice.quota_memory_mib = 2000
    alice.save()
    page = browser.get(f"/vms/launch/?image={EntryFactory().identifier}").content.decode()
    assert "Your quota is 2000 MiB" in page


@pytest.mark.parametrize(
    "name",
    ["detail", "row", "usage", "console", "console_log"],
)
def test_a_strangers_machine_does_not_exist(browser, name):
    assert browser.get(reverse(f"vms:{name}", args=[VMFactory().uuid])).status_code == 404


@pytest.mark.parametrize("name", ["shut_down", "reboot", "start", "kill", "console_grant"])
def test_a_strangers_machine_takes_no_orders(browser, name):
    vm = VMFactory(running=True)
    assert browser.post(reverse(f"vms:{name}", args=[vm.uuid])).status_code == 404
    assert VM.objects.get().state == VmState.RUNNING
    assert browser.get(reverse(f"vms:{name}", args=[vm.uuid])).status_code == 405


def test_a_refusal_shows_in_place(browser, alice):
    vm = VMFactory(owner=alice, state=VmState.DONE)
    response = browser.post(
        reverse("vms:shut_down", args=[vm.uuid]), headers={"X-Requested-With": "fetch"}
    )
    assert response.status_code == 422
    assert "it cannot be asked to shut down" in response.content.decode()


@pytest.mark.parametrize("rows", [2, 25])
def test_the_list_costs_the_same_for_two_machines_and_a_page_of_them(
    browser, alice, rows, django_assert_num_queries
):
    VMFactory.create_batch(rows, owner=alice, running=True)
    # session, user, policies, counts by state, page count, page, the bell
    with django_assert_num_queries(7):
        text = browser.get("/vms/").content.decode()
    assert text.count("<tr id=") == rows


@pytest.mark.parametrize("moves", [1, 30])
def test_a_machines_page_costs_the_same_however_long_its_history(
    browser, alice, moves, django_assert_num_queries
):
    vm = VMFactory(owner=alice, running=True)
    for _ in range(moves):
        VM.objects.get(pk=vm.pk).move(VmState.BOOT)
        VM.objects.get(pk=vm.pk).move(VmState.RUNNING)
    # session, user, policies, machine, events, copy, what is said of the image, the lists of
    # allowed images, its disks now and before, its cards, networks that it may join (2),
    # whether the site has any, builds of it, the bell
    with django_assert_num_queries(16):
        browser.get(vm.get_absolute_url())


def test_the_list_finds_by_every_word_and_hides_done(browser, alice):
    shown = VMFactory(owner=alice, name="alpha one", running=True)
    VMFactory(owner=alice, name="beta", state=VmState.DONE)
    for query in ("alpha", "one alpha", str(shown.pk), str(shown.uuid), "127.0.0.1", "running"):
        page = browser.get("/vms/", {"q": query}).context["page"]
        assert list(page) == [shown], query
    assert not list(browser.get("/vms/", {"q": "gamma"}).context["page"])
    assert len(browser.get("/vms/", {"state": "all"}).context["page"]) == 2


@pytest.mark.parametrize("sort", ["id", "-name", "state", "cpu", "-memory", "age", "nonsense"])
def test_the_list_sorts(browser, alice, sort):
    VMFactory.create_batch(3, owner=alice, running=True)
    assert len(browser.get("/vms/", {"sort": sort}).context["page"]) == 3


def test_an_empty_list_and_a_filtered_one_say_different_things(browser, alice):
    assert "No machine yet" in browser.get("/vms/").content.decode()
    VMFactory(owner=alice)
    assert "No machines match" in browser.get("/vms/", {"q": "zzz"}).content.decode()


def test_an_administrator_sees_everybodys_machines(client):
    vm = VMFactory(running=True)
    client.force_login(UserFactory(admin=True))
    assert vm.owner.username in client.get("/vms/").content.decode()
    assert client.post(reverse("vms:kill", args=[vm.uuid])).status_code == 302
    assert VM.objects.get().state == VmState.EPILOG


def test_a_selection_and_a_pasted_list_are_asked_together(browser, alice):
    chosen, pasted, other = VMFactory.create_batch(3, owner=alice, running=True)
    stranger = VMFactory(running=True)
    browser.post(
        "/vms/bulk/", {"verb": "kill", "vm": [chosen.uuid], "ids": f"{pasted.pk}, {stranger.pk}"}
    )
    states = dict(VM.objects.values_list("pk", "state"))
    assert states[chosen.pk] == states[pasted.pk] == VmState.EPILOG
    assert states[other.pk] == states[stranger.pk] == VmState.RUNNING


def test_only_administrators_change_sizes(client):
    client.force_login(UserFactory())
    assert client.get("/vms/types/").status_code == 200
    assert client.get("/vms/types/new/").status_code == 404
    client.force_login(UserFactory(admin=True))
    size = {"name": "big", "vcpus": 2, "memory_mib": 4096, "swap_mib": 0, "is_default": "on",
            "is_offered": "on"}  # fmt: skip
    assert client.post("/vms/types/new/", size).status_code == 302
    assert InstanceType.objects.get(is_default=True).name == "big"
    bad = client.post("/vms/types/big/", {**size, "vcpus": 0, "is_offered": ""})
    assert bad.status_code == 422
    assert set(bad.context["form"].errors) == {"vcpus", "is_offered"}


def test_a_person_chooses_the_size_that_launches_start_from(browser, alice):
    browser.post("/vms/types/c1.medium/prefer/")
    page = browser.get(f"/vms/launch/?image={EntryFactory().identifier}")
    assert page.context["chosen_size"] == "c1.medium"


def test_a_default_size_that_does_not_fit_gives_way_to_one_that_does(browser, alice):
    alice.quota_memory_mib = 1000
    alice.save()
    page = browser.get(f"/vms/launch/?image={EntryFactory().identifier}")
    assert page.context["chosen_size"] == "t1.micro"


def test_addresses_can_be_shown_by_name(browser, alice):
    vm = VMFactory(owner=alice, running=True)
    Readiness.objects.filter(vm=vm).update(host_name="node7.lab.example")
    assert "node7.lab.example:20022" in browser.get("/vms/?names=1").content.decode()
    assert "127.0.0.1:20022" in browser.get("/vms/").content.decode()


def test_a_machine_that_has_just_gone_has_an_empty_log_and_no_fault(browser, alice, cloud):
    vm = VMFactory(owner=alice, running=True)
    response = browser.get(reverse("vms:console_log", args=[vm.uuid]))
    assert (response.status_code, response.content) == (200, b"")


def test_a_strangers_attempt_is_a_404_and_a_line_in_the_audit(browser, alice):
    vm = VMFactory(running=True)
    browser.post(reverse("vms:kill", args=[vm.uuid]))
    event = Event.objects.get(subject=vm.uuid, outcome="denied")
    assert (event.by, event.verb, event.door) == (alice, "kill", "page")


@pytest.mark.parametrize("text", ["\u00b2", "\u0661", "9" * 30])
def test_digits_of_all_kinds_are_searched_for(browser, alice, text):
    VMFactory(owner=alice)
    assert browser.get("/vms/", {"q": text}).status_code == 200
    assert browser.post("/vms/bulk/", {"verb": "kill", "ids": text}).status_code == 302


@pytest.mark.parametrize("text", ["#cloud-config\na: 2001-99-99\n", "#cloud-config\n" + "[" * 5000])
def test_yaml_that_breaks_its_reader_is_refused(browser, text):
    response = launch(browser, EntryFactory(), without_key="on", user_data=text)
    assert response.status_code == 422


def test_user_data_is_measured_before_it_is_read(browser):
    big = "#cloud-config\n" + "a: b\n" * 20_000
    response = launch(browser, EntryFactory(), without_key="on", user_data=big)
    assert "the limit is 65536" in str(response.context["form"].errors["user_data"])


def test_the_list_has_one_thing_to_do_and_a_menu_of_the_others(client):
    client.force_login(UserFactory())
    page = client.get(reverse("vms:list")).content.decode()
    head = page.partition('class="page-actions"')[2].partition("</details>")[0]
    assert head.count('class="btn ') == 2  # the menu's own among them
    first, menu = head.split('<details class="menu">')
    assert 'class="btn btn-primary"' in first
    for name in ("new_batch", "batches", "clusters", "networks", "backups", "recipes", "builds"):
        assert f'<a class="menu-item" href="{reverse(f"vms:{name}")}"' in menu
