"""Machines that get another owner, and the disks that are in them."""

from uuid import uuid4

import pytest

from core.errors import Refused
from core.models import Event
from registration.actions import accounts
from registration.tests.factories import UserFactory
from vms import actions
from vms.models import VM, Batch, Build, Saving
from vms.states import BuildState
from vms.tests.factories import VMFactory
from volumes.models import Access, Attachment, Visibility, Volume
from volumes.states import AttachmentState
from volumes.tests.factories import AttachmentFactory, ShareFactory

pytestmark = pytest.mark.django_db

A = AttachmentState


@pytest.fixture
def admin():
    return UserFactory(admin=True)


@pytest.fixture
def alice():
    return UserFactory(username="alice")


@pytest.fixture
def bob():
    return UserFactory(username="bob")


@pytest.fixture
def carol():
    return UserFactory(username="carol")


def plugged(alice, owner, **more) -> Attachment:
    """A disk of ``owner``'s in a machine of Alice's that runs."""
    vm = VMFactory(owner=alice, running=True)
    return AttachmentFactory(vm=vm, volume__owner=owner, state=A.ATTACHED, **more)


def given(attachment, bob, admin) -> Attachment:
    actions.hand_over([attachment.vm], to=bob, by=admin)
    attachment.vm.refresh_from_db()
    assert attachment.vm.owner == bob
    attachment.refresh_from_db()
    return attachment


def test_a_disk_of_a_third_person_does_not_go_along(alice, bob, carol, admin):
    row = plugged(alice, carol)
    ShareFactory(volume=row.volume, user=alice, access=Access.WRITE)
    row = given(row, bob, admin)
    assert (row.state, row.is_forced) == (A.DETACHING, False)
    assert Event.objects.of(row.vm.uuid).filter(verb="taken_over").get().detail["detached"]
    told = Event.objects.of(row.volume.uuid).get(verb="detach")
    assert "given to bob" in told.reason


def test_nor_does_one_that_stays_with_who_gives(alice, bob, admin):
    assert given(plugged(alice, alice), bob, admin).state == A.DETACHING


@pytest.mark.parametrize(
    ("access", "read_only", "state"),
    [
        (Access.READ, True, A.ATTACHED),
        (Access.READ, False, A.DETACHING),
        (Access.WRITE, False, A.ATTACHED),
    ],
)
def test_what_the_new_owner_may_use_like_that_stays(
    alice, bob, carol, admin, access, read_only, state
):
    row = plugged(alice, carol, read_only=read_only)
    ShareFactory(volume=row.volume, user=bob, access=access)
    assert given(row, bob, admin).state == state


def test_their_own_and_public_ones_stay(alice, bob, carol, admin):
    assert given(plugged(alice, bob), bob, admin).state == A.ATTACHED
    public = plugged(alice, carol, read_only=True, volume__visibility=Visibility.PUBLIC)
    assert given(public, bob, admin).state == A.ATTACHED


@pytest.mark.parametrize("how", [{"is_root": True}, {"state": A.PLANNED}])
def test_a_machine_that_cannot_let_go_is_not_given(alice, bob, carol, admin, how):
    row = plugged(alice, carol)
    Attachment.objects.filter(pk=row.pk).update(**how)
    with pytest.raises(Refused, match="which bob may not use like that") as refused:
        actions.hand_over([row.vm], to=bob, by=admin)
    assert refused.value.code == "disk_stays"
    row.vm.refresh_from_db()
    assert row.vm.owner == alice


def test_the_heir_of_an_account_gets_its_disks_and_those_of_others_are_pulled(
    alice, bob, carol, admin
):
    theirs, others = plugged(alice, alice), plugged(alice, carol)
    ShareFactory(volume=others.volume, user=alice, access=Access.WRITE)
    accounts.close(alice, by=admin, reason="They left.", heir=bob)
    for row in (theirs, others):
        row.refresh_from_db()
        row.volume.refresh_from_db()
    assert (theirs.state, theirs.volume.owner) == (A.ATTACHED, bob)
    assert (others.state, others.is_forced, others.volume.owner) == (A.DETACHING, True, carol)


IMAGE = actions.Image(
    title="R", comment="Has R.", author="Alice", email="alice@example.org", version="1"
)


def test_an_image_that_one_person_planned_is_not_signed_by_another(alice, bob, admin, cloud):
    vm = VMFactory(owner=alice, running=True)
    actions.plan_saving(vm, IMAGE, by=alice)
    actions.hand_over([vm], to=bob, by=admin)
    saving = Saving.objects.get(vm=vm)
    assert saving.state == "dropped"
    assert "given to bob, who has not asked for it" in saving.reason
    actions.plan_saving(VM.objects.get(pk=vm.pk), IMAGE, by=bob)  # if they wish to


def test_a_machine_on_its_way_to_become_an_image_is_given_with_its_account_alone(
    alice, bob, admin, cloud
):
    vm = VMFactory(owner=alice, running=True)
    actions.save(vm, IMAGE, by=alice)
    with pytest.raises(Refused, match="being shut down to be saved") as refused:
        actions.hand_over([vm], to=bob, by=admin)
    assert refused.value.code == "saving_state"
    accounts.close(alice, by=admin, reason="They left.", heir=bob)
    assert VM.objects.get(pk=vm.pk).owner == bob
    assert Saving.objects.get(vm=vm).state == "planned"  # else its disk would be lost


def test_nobody_follows_the_machine_of_another_for_a_build(alice, bob, admin, cloud):
    vm = VMFactory(owner=alice, running=True)
    build = Build.objects.create(owner=alice, vm=vm, base=vm.entry, create_key=vm.launch_key)
    actions.hand_over([vm], to=bob, by=admin)
    build.refresh_from_db()
    assert (build.state, build.next_tick_at) == ("cancelled", None)
    assert "given to bob" in build.reason


def test_a_build_that_failed_stays_with_who_ordered_it_and_ends_no_machine_of_another(
    alice, bob, admin, cloud, client
):
    vm = VMFactory(owner=alice, running=True, name="of the build")
    build = Build.objects.create(
        owner=alice, vm=vm, base=vm.entry, create_key=vm.launch_key, state=BuildState.FAILED,
        reason="Step 1 failed.", recipe={"title": "R of Alice"},
    )  # fmt: skip
    actions.hand_over([vm], to=bob, by=admin)
    VM.objects.filter(pk=vm.pk).update(name="of Bob")
    actions.plan_saving(VM.objects.get(pk=vm.pk), IMAGE, by=bob)
    build = Build.objects.get(pk=build.pk)
    assert (build.state, build.reason, build.owner) == ("failed", "Step 1 failed.", alice)
    assert (actions.may_cancel(build), actions.may_save(build)) == (False, False)
    assert build.saved_as is None
    for act, by in ((actions.cancel_build, alice), (actions.cancel_build, admin),
                    (actions.save_build, alice)):  # fmt: skip
        with pytest.raises(Refused) as refused:
            act(build, by=by)
        assert refused.value.code == "build_state"
    client.force_login(alice)
    for page in (build.get_absolute_url(), "/vms/builds/"):
        text = client.get(page).content.decode()
        assert "given to somebody else" in text
        assert "of Bob" not in text
    client.force_login(bob)
    assert "R of Alice" not in client.get(vm.get_absolute_url()).content.decode()
    assert VM.objects.get(pk=vm.pk).state == "running"


def test_a_build_whose_image_is_on_its_way_goes_along_with_its_account(alice, bob, admin, cloud):
    vm = VMFactory(owner=alice, running=True)
    build = Build.objects.create(owner=alice, vm=vm, base=vm.entry, create_key=vm.launch_key)
    actions.save(vm, IMAGE, by=alice)
    Build.objects.filter(pk=build.pk).update(state=BuildState.SAVING)
    accounts.close(alice, by=admin, reason="They left.", heir=bob)
    build.refresh_from_db()
    assert (build.state, build.owner) == ("saving", bob)
    verbs = Event.objects.of(build.uuid).values_list("verb", "owner")
    assert set(verbs) == {("handed_over", alice.pk), ("taken_over", bob.pk)}


def test_nor_is_it_shown_with_the_batch_that_it_came_from(alice, bob, admin):
    batch = Batch.objects.create(uuid=uuid4(), owner=alice, name="all", asked=1)
    vm = VMFactory(owner=alice, running=True, batch=batch)
    actions.hand_over([vm], to=bob, by=admin)
    assert not batch.vms.exists()


def test_a_machine_that_is_copied_for_a_backup_is_given_when_that_is_done(alice, bob, admin, cloud):
    vm = VMFactory(owner=alice, running=True)
    backup = actions.back_up(vm, name="before", by=alice, key=uuid4())
    with pytest.raises(Refused, match="copied for a backup of alice"):
        actions.hand_over([vm], to=bob, by=admin)
    Volume.objects.filter(pk=backup.root.pk).update(state="available")
    actions.hand_over([vm], to=bob, by=admin)
