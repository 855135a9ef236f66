"""Made-up machines: plausible, apart from real ones, and gone when asked."""

from io import StringIO

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from bench.calls import simulate
from core.models import Event
from marketplace.models import Entry, ImageFile
from marketplace.tests.factories import EntryFactory, ImageFileFactory
from portal import demo
from registration.models import QuotaWish, User
from registration.states import ACCOUNT_MOVES, AccountState
from registration.tests.factories import UserFactory
from vms import actions, tasks
from vms.models import VM, InstanceType, Readiness, Sample
from vms.states import VM_MOVES, VmState
from vms.tests.factories import VMFactory
from volumes.models import Volume
from volumes.states import VolumeState

pytestmark = pytest.mark.django_db


def seed(*options, machines=40, entries=8, users=0, disks=0):
    out = StringIO()
    wanted = {"machines": machines, "entries": entries, "users": users, "disks": disks}
    call_command("seed_demo", *options, **wanted, stdout=out)
    return out.getvalue()


def test_it_makes_as_many_as_asked_of_every_kind():
    assert "40 machines, 0 disks, 8 images" in seed()
    assert (VM.objects.count(), Entry.objects.count()) == (40, 8)
    assert VM.objects.values("owner").distinct().count() > 1
    assert len(set(VM.objects.values_list("state", flat=True))) > 4
    assert Readiness.objects.count() == 40
    assert Sample.objects.exists()


def test_disks_are_somebodys_and_some_are_in_machines():
    seed(disks=60)
    assert Volume.objects.count() == 60
    assert len(set(Volume.objects.values_list("state", flat=True))) > 2
    in_use = Volume.objects.filter(state=VolumeState.IN_USE)
    assert in_use.exists()
    assert all(disk.attachments.get().vm.state == VmState.RUNNING for disk in in_use)
    seed("--clean")
    assert not Volume.objects.exists()


def test_the_same_numbers_give_the_same_machines():
    seed()
    first = list(VM.objects.values_list("name", "state", "owner__username", "type_name"))
    seed()
    assert list(VM.objects.values_list("name", "state", "owner__username", "type_name")) == first


def test_every_history_is_one_that_the_table_of_arrows_allows():
    seed()
    for vm in VM.objects.all():
        events = list(Event.objects.of(vm.uuid))
        assert events[0].verb == "asked"
        assert events[0].at == vm.created_at
        assert [event.at for event in events] == sorted(event.at for event in events)
        assert all(event.now in VM_MOVES[event.was] for event in events[1:])
        assert events[-1].now == vm.state


def test_a_tenth_of_the_people_waits_and_every_history_ends_where_they_are():
    seed(machines=0, users=200)
    people = User.objects.filter(username__startswith="demo_u")
    assert people.count() == 200
    assert people.waiting().count() == 20
    assert set(people.values_list("state", flat=True)) == set(AccountState.values)
    for person in people:
        events = list(Event.objects.of(person.uuid))
        assert events[0].verb == "registered"
        assert all(event.now in ACCOUNT_MOVES[event.was] for event in events[1:])
        assert events[-1].now == person.state
    assert QuotaWish.objects.waiting().exists()


def test_the_people_go_again():
    seed(machines=5, users=100)
    seed("--clean")
    assert not User.objects.exists()
    assert not Event.objects.exists()


def test_nobody_can_sign_in_as_one_of_the_people():
    seed()
    assert User.objects.exists()
    assert not any(user.has_usable_password() for user in User.objects.all())


def test_asking_for_fewer_replaces_what_was_there():
    seed()
    seed(machines=10, entries=3)
    assert (VM.objects.count(), Entry.objects.count()) == (10, 3)


def test_clean_leaves_nothing_of_it_and_everything_real():
    real = VMFactory(running=True)
    people = User.objects.count()
    seed("--force")
    call_command("seed_demo", "--clean", stdout=StringIO())
    assert list(VM.objects.all()) == [real]
    assert User.objects.count() == people
    assert list(Entry.objects.all()) == [real.entry]
    assert not Sample.objects.exists()
    assert not Event.objects.exists()


def test_an_image_that_a_real_machine_was_launched_from_stays():
    seed()
    kept, lost = Entry.objects.all()[:2]
    VMFactory(entry=kept)
    ImageFileFactory(entry=kept)
    ImageFileFactory(entry=lost)
    call_command("seed_demo", "--clean", stdout=StringIO())
    assert list(Entry.objects.all()) == [kept]
    assert [image.entry for image in ImageFile.objects.all()] == [kept]


def test_it_refuses_where_real_machines_are_alive_and_says_how_many():
    VMFactory.create_batch(2, running=True)
    with pytest.raises(CommandError, match="2 real machines are alive here"):
        seed()
    assert VM.objects.count() == 2


def test_done_machines_are_no_reason_to_refuse():
    VMFactory(state=VmState.DONE)
    seed(machines=1)


@pytest.mark.parametrize(("machines", "entries"), [(-1, 5), (5, 0), (100_001, 5)])
def test_numbers_out_of_range_are_refused(machines, entries):
    with pytest.raises(CommandError, match="0 to 100000 machines"):
        seed(machines=machines, entries=entries)


def test_no_worker_ever_touches_them(cloud):
    assert demo.CLOUD not in settings.CLOUDS
    seed()
    before = dict(VM.objects.values_list("uuid", "state"))
    simulate(cloud, minutes=1)
    assert dict(VM.objects.values_list("uuid", "state")) == before
    assert cloud.world.vms == {}


def test_what_a_person_asks_of_one_rings_no_bell_for_ever(cloud, monkeypatch):
    rung = []
    monkeypatch.setattr(tasks, "ring_vm", rung.append)
    vm = VMFactory(running=True, cloud=demo.CLOUD)
    actions.kill(vm, by=vm.owner)
    real = VMFactory()
    rung.clear()
    tasks.sweep()
    assert rung == [real]


def test_the_console_of_one_says_that_there_is_no_such_cloud(client, cloud):
    admin = UserFactory(admin=True)
    vm = VMFactory(running=True, cloud=demo.CLOUD)
    client.force_login(admin)
    answer = client.get(f"/vms/{vm.uuid}/console/log/")
    assert answer.status_code == 503
    assert "The cloud demo is no longer part of this site." in answer.content.decode()


def test_a_site_without_sizes_is_told_so():
    InstanceType.objects.all().delete()
    with pytest.raises(CommandError, match="offers no size"):
        seed()


def test_real_images_are_left_alone():
    mine = EntryFactory()
    seed()
    seed("--clean")
    assert list(Entry.objects.all()) == [mine]
