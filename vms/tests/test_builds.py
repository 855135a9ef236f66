"""Images that are created by steps: ordered, followed, called off, saved, and shown."""

import re
import uuid
from datetime import timedelta

import pytest
import time_machine
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone

from cloud.types import VmPhase
from core.errors import Refused
from core.models import Event
from marketplace.tests.factories import EntryFactory, ImageFileFactory
from registration.models import Notification
from registration.tests.factories import UserFactory
from vms import actions
from vms.building import Recipe, Script
from vms.lifecycle import settle_kept
from vms.lifecycle.following import nonce_of
from vms.lifecycle.listening import KEPT_BYTES, PIECE_BYTES, kept_log
from vms.models import VM, Build, InstanceType, Saving
from vms.states import BuildState, SavingState, StepState, VmState

pytestmark = pytest.mark.django_db

ABOUT = {"title": "Web", "comment": "With a server.", "author": "Ada", "email": "a@example.org",
         "version": "1.1"}  # fmt: skip


@pytest.fixture
def owner(cloud):
    InstanceType.objects.get_or_create(
        name="m1.small", defaults={"vcpus": 1, "memory_mib": 512, "is_default": True}
    )
    return UserFactory(username="ada")


@pytest.fixture
def entry(cloud):
    entry = EntryFactory(os="Debian", os_version="12", version="1.0")
    cloud.put_image(entry.identifier)
    ImageFileFactory(entry=entry, ready=True)
    return entry


def order(entry, **more):
    recipe = more.pop("recipe", Recipe(recipe="true\n", scripts=(Script(name="s", text="x"),)))
    return actions.BuildOrder(
        entry=entry, image=actions.Image(**ABOUT), recipe=recipe, type_name="m1.small", vcpus=1,
        memory_mib=512, **more,
    )  # fmt: skip


class Made:
    """A build, and its guest's words."""

    def __init__(self, row, cloud, worker):
        self.pk, self.cloud, self.worker = row.pk, cloud, worker

    @property
    def row(self):
        return Build.objects.select_related("vm", "owner").get(pk=self.pk)

    def says(self, *words):
        """The guest prints marks, or anything; then everybody looks."""
        for word in words:
            mark = f"\nportal-build: {nonce_of(self.row)} {word}\n"
            known = word.startswith("step ") or word == "done"
            self.prints(mark if known else f"{word}\n")
        self.look()

    def prints(self, text):
        self.cloud.print_on_console(self.row.vm.cloud_ref, text.encode().replace(b"\n", b"\r\n"))

    def look(self, times=2):
        for _ in range(times):
            Build.objects.filter(pk=self.pk, next_tick_at__isnull=False).update(
                next_tick_at=timezone.now()
            )
            self.worker.step()

    def states(self):
        return [str(step.state) for step in self.row.steps.all()]


@pytest.fixture
def made(owner, entry, cloud, worker):
    """One whose machine runs."""
    return start(owner, entry, cloud, worker)


def start(owner, entry, cloud, worker, **more):
    made = Made(actions.build(owner=owner, order=order(entry, **more)), cloud, worker)
    for _ in range(6):
        VM.objects.filter(next_tick_at__isnull=False).update(next_tick_at=timezone.now())
        worker.step()
    assert made.row.vm.state == VmState.RUNNING
    return made


# Ordered ---------------------------------------------------------------------------------


def test_a_build_is_a_machine_with_a_planned_image_and_its_steps(owner, entry):
    row = actions.build(owner=owner, order=order(entry))
    assert row.state == BuildState.STARTING
    assert [step.name for step in row.steps.all()] == ["Recipe", "Script s", "Clean up"]
    saving = row.vm.saving
    assert (saving.state, saving.title, saving.version) == (SavingState.PLANNED, "Web", "1.1")
    assert "portal-build" in str(row.vm.spec().user_data)
    assert Event.objects.of(row.uuid).get().verb == "asked"


def test_the_same_order_twice_is_one_build_and_one_machine(owner, entry):
    wanted = order(entry)
    first = actions.build(owner=owner, order=wanted)
    assert actions.build(owner=owner, order=wanted) == first
    assert (Build.objects.count(), VM.objects.count(), Saving.objects.count()) == (1, 1, 1)


def test_the_same_key_with_other_words_is_the_build_that_there_is(owner, entry):
    wanted = order(entry)
    first = actions.build(owner=owner, order=wanted)
    other = order(entry, recipe=Recipe(recipe="false\n"), create_key=wanted.create_key)
    assert actions.build(owner=owner, order=other) == first
    unsound = order(entry, step_minutes=0, create_key=wanted.create_key)
    assert actions.build(owner=owner, order=unsound) == first
    assert [step.name for step in first.steps.all()] == ["Recipe", "Script s", "Clean up"]
    assert (Build.objects.count(), VM.objects.count(), Saving.objects.count()) == (1, 1, 1)
    theirs = UserFactory()
    assert actions.build(owner=theirs, order=order(entry, create_key=wanted.create_key)) != first


def test_a_machine_that_was_launched_with_the_same_key_is_left_alone(owner, entry):
    key = uuid.uuid4()
    size = {"type_name": "m1.small", "vcpus": 1, "memory_mib": 512}
    vm = actions.launch(
        owner=owner, order=actions.Order(entry=entry, name="web", launch_key=key, **size)
    )
    row = actions.build(owner=owner, order=order(entry, create_key=key))
    assert row.vm != vm
    assert not Saving.objects.filter(vm=vm).exists()


def test_a_refused_order_leaves_nothing(owner, entry):
    with pytest.raises(Refused) as refused:
        actions.build(owner=owner, order=order(entry, recipe=Recipe(packages=("nginx",))))
    assert (refused.value.code, refused.value.field) == ("recipe_invalid", "installer")
    with pytest.raises(Refused) as refused:
        actions.build(owner=owner, order=order(entry, step_minutes=0))
    assert refused.value.code == "build_minutes"
    type(owner).objects.filter(pk=owner.pk).update(quota_images=0)
    with pytest.raises(Refused) as refused:
        actions.build(owner=owner, order=order(entry))
    assert refused.value.code == "quota_images"
    assert not Build.objects.exists()
    assert not VM.objects.exists()


# Followed --------------------------------------------------------------------------------


def test_steps_are_followed_to_the_epilog(made):
    made.says("booting")
    assert made.row.state == BuildState.STARTING
    made.says("step 1 begin", "hello")
    assert made.row.state == BuildState.WORKING
    assert made.states() == ["running", "waiting", "waiting"]
    made.says("step 1 end 0", "step 2 begin")
    assert made.states() == ["done", "running", "waiting"]
    made.says("step 2 end 0", "step 3 begin", "step 3 end 0", "done")
    row = made.row
    assert row.state == BuildState.SAVING
    assert row.vm.state in (VmState.SHUTDOWN, VmState.EPILOG)
    assert b"hello" in kept_log(row)


def test_what_is_saved_ends_the_build(made):
    made.says("step 1 begin", "done")
    saving = Saving.objects.get(vm=made.row.vm)
    Saving.objects.filter(pk=saving.pk).update(state=SavingState.DONE)
    made.look()
    row = made.row
    assert (row.state, bool(row.ended_at)) == (BuildState.DONE, True)


def test_a_mark_that_the_kernel_has_broken_is_made_good_by_the_next(made):
    made.says("step 2 begin")
    assert made.states() == ["done", "running", "waiting"]
    made.says("done")
    assert made.states() == ["done", "done", "done"]


def test_the_same_marks_again_change_nothing(made):
    made.says("step 1 begin", "step 1 end 0", "step 2 begin")
    ended = made.row.steps.get(number=1).ended_at
    made.says("step 1 end 0", "step 1 end 7", "step 1 begin")
    step = made.row.steps.get(number=1)
    assert (step.state, step.status, step.ended_at) == (StepState.DONE, 0, ended)


def test_a_step_that_fails_is_named_with_its_status_and_its_last_lines(made, owner):
    made.says("step 1 begin", "step 1 end 0", "step 2 begin", "what \x1b[31mwent\x1b[0m wrong",
              "step 2 end 3", "step 2 end 3")  # fmt: skip
    row = made.row
    assert (row.state, row.reason) == (
        BuildState.FAILED, "Step 2 (Script s) ended with exit status 3.",
    )  # fmt: skip
    step = row.steps.get(number=2)
    assert (step.status, step.tail) == (3, "what went wrong")
    assert made.states() == ["done", "failed", "skipped"]
    assert row.vm.state == VmState.RUNNING
    assert row.vm.saving.state == SavingState.DROPPED
    told = Notification.objects.get(owner=owner)
    assert (told.kind, "Step 2 (Script s)" in told.sentence) == ("build_failed", True)


def test_a_silent_guest_is_given_up_by_the_portals_clock(made):
    made.says("step 1 begin")
    with time_machine.travel(timezone.now() + timedelta(minutes=59), tick=False):
        made.look()
        assert made.row.state == BuildState.WORKING
    with time_machine.travel(timezone.now() + timedelta(minutes=61), tick=False):
        made.look()
    assert made.row.reason == (
        "Step 1 (Recipe) did not end within 60 minutes, and its guest says nothing."
    )


def test_a_step_that_the_guest_has_stopped_is_told_so(made):
    made.says("step 1 begin")
    with time_machine.travel(timezone.now() + timedelta(minutes=60), tick=False):
        made.says("step 1 end 124")
    assert made.row.reason == "Step 1 (Recipe) did not end within 60 minutes, and was stopped."


def test_a_guest_that_never_begins_is_given_up(made):
    with time_machine.travel(timezone.now() + timedelta(minutes=11), tick=False):
        made.look()
    row = made.row
    assert (row.state, "did not begin its steps within 10 minutes" in row.reason) == (
        BuildState.FAILED, True,
    )  # fmt: skip


def test_a_guest_that_falls_silent_between_two_steps_is_given_up(made):
    made.says("step 1 begin", "step 1 end 0")
    with time_machine.travel(timezone.now() + timedelta(minutes=6), tick=False):
        made.look()
    assert "said nothing for 5 minutes between two steps" in made.row.reason


@pytest.mark.parametrize("at_once", [True, False])
def test_a_machine_that_starts_anew_ends_its_build(made, at_once):
    if at_once:
        made.says("step 1 begin", "portal-context: started")
    else:
        made.says("portal-context: started", "step 1 begin")
        made.says("bye", "portal-context: started")
    assert made.row.reason == (
        "The machine started anew during step 1 (Recipe); the steps that are left cannot be taken."
    )


def test_a_start_after_the_last_step_is_no_matter(made):
    made.says("step 1 begin", "done", "portal-context: started")
    assert made.row.state == BuildState.SAVING


@pytest.mark.parametrize(
    ("state", "said"),
    [(VmState.UNKNOWN, "The machine halted during step 1 (Recipe)"),
     (VmState.SHUTDOWN, "The machine was shut down during step 1 (Recipe)"),
     (VmState.BOOT, "The machine was restarted during step 1 (Recipe)"),
     (VmState.EPILOG, "Its machine was killed during step 1 (Recipe)"),
     (VmState.DONE, "Its machine was killed during step 1 (Recipe)")],
)  # fmt: skip
def test_a_machine_that_goes_away_ends_its_build(made, state, said):
    made.says("step 1 begin")
    VM.objects.filter(pk=made.row.vm_id).update(state=state, next_tick_at=None)
    made.look()
    assert made.row.state == BuildState.FAILED
    assert made.row.reason.startswith(said)


def test_a_machine_that_cannot_start_ends_its_build(owner, entry, cloud, worker):
    row = actions.build(owner=owner, order=order(entry))
    VM.objects.filter(pk=row.vm_id).update(
        state=VmState.FAILED, reason="No room.", next_tick_at=None
    )
    made = Made(row, cloud, worker)
    made.look()
    assert made.row.reason == "Its machine has failed: No room."


def test_a_worker_that_is_killed_in_the_middle_writes_nothing_twice(made):
    """The row's lease has lapsed, and somebody reads the same again."""
    made.says("step 1 begin", "once")
    Build.objects.filter(pk=made.pk).update(
        log_read_bytes=0, lease_until=timezone.now() - timedelta(seconds=1)
    )
    made.look()
    assert kept_log(made.row).count(b"once") == 1


# The log ---------------------------------------------------------------------------------


def test_a_log_that_was_cut_is_read_on_from_where_we_were(made):
    made.says("step 1 begin", "x" * 5000, "the middle")
    vm = made.cloud._vm(made.row.vm.cloud_ref)
    vm.log = vm.log[-3000:]
    made.says("after the cut", "step 1 end 0")
    log = kept_log(made.row)
    assert (log.count(b"the middle"), log.count(b"after the cut")) == (1, 1)
    assert made.states()[0] == "done"
    vm.log = b"something else altogether\r\n"
    made.look()
    assert b"a part of the log is missing" in kept_log(made.row)


def test_a_flood_is_kept_to_its_end(made):
    made.says("step 1 begin")
    for number in range(4):
        made.prints("y\n" * 250_000)
        made.says(f"round {number}")
    row = made.row
    assert KEPT_BYTES <= len(kept_log(row)) <= KEPT_BYTES + 2 * PIECE_BYTES
    assert b"round 3" in kept_log(row)[-200:]
    assert row.pieces.count() <= 2 + KEPT_BYTES // PIECE_BYTES


def test_the_log_is_there_when_the_machine_is_gone(made, client):
    made.says("step 1 begin", "<script>alert(1)</script> \x1b]0;x\x07 words", "step 1 end 1")
    made.cloud.delete_vm(made.row.vm.cloud_ref)
    VM.objects.filter(pk=made.row.vm_id).update(state=VmState.DONE)
    client.force_login(made.row.owner)
    page = client.get(made.row.get_absolute_url()).content.decode()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    log = client.get(reverse("vms:build_log", args=[made.row.uuid]))
    assert log["Content-Type"] == "text/plain; charset=utf-8"
    assert "\x1b" not in log.content.decode()
    file = client.get(reverse("vms:build_log", args=[made.row.uuid]) + "?download=1")
    assert file["Content-Disposition"].startswith("attachment; filename=")


# Called off, kept, saved by hand ---------------------------------------------------------


def test_a_build_is_called_off_with_its_machine(made, owner):
    made.says("step 1 begin")
    actions.cancel_build(made.row, by=owner)
    row = made.row
    assert (row.state, row.vm.state) == (BuildState.CANCELLED, VmState.EPILOG)
    assert row.vm.saving.state == SavingState.DROPPED
    made.says("step 1 end 1")
    assert made.row.state == BuildState.CANCELLED
    with pytest.raises(Refused) as refused:
        actions.cancel_build(made.row, by=owner)
    assert refused.value.code == "build_state"


def test_one_that_failed_stays_so_when_its_machine_is_ended(made, owner, client):
    made.says("step 1 begin", "no such file", "step 1 end 3")
    before = made.row
    actions.cancel_build(before, by=owner)
    row = made.row
    assert (row.state, row.reason, row.vm.state) == ("failed", before.reason, VmState.EPILOG)
    assert row.ended_at == before.ended_at
    assert row.steps.get(number=1).tail
    assert b"no such file" in kept_log(row)
    assert Event.objects.of(row.uuid).order_by("-pk").first().verb == "end_build"
    client.force_login(owner)
    page = client.get(row.get_absolute_url()).content.decode()
    assert "ended with exit status 3" in page
    assert "End its machine" not in page
    with pytest.raises(Refused) as refused:
        actions.cancel_build(row, by=owner)
    assert refused.value.code == "build_state"


def test_nobody_else_calls_it_off_or_saves_it(made):
    for act in (actions.cancel_build, actions.save_build):
        with pytest.raises(Refused) as refused:
            act(made.row, by=UserFactory())
        assert refused.value.code == "not_yours"


def test_a_machine_that_is_kept_is_saved_when_its_owner_says_so(owner, entry, cloud, worker):
    made = start(owner, entry, cloud, worker, keep_running=True)
    with pytest.raises(Refused) as refused:
        actions.save_build(made.row, by=owner)
    assert refused.value.code == "build_state"
    made.says("step 1 begin", "done")
    row = made.row
    assert (row.state, row.vm.state) == (BuildState.KEPT, VmState.RUNNING)
    assert row.vm.saving.state == SavingState.PLANNED
    actions.save_build(row, by=owner)
    row = made.row
    assert (row.state, row.vm.state) == (BuildState.SAVING, VmState.SHUTDOWN)


@pytest.mark.parametrize("is_saved", [True, False])
def test_a_kept_build_follows_what_is_done_with_its_machine(owner, entry, cloud, worker, is_saved):
    made = start(owner, entry, cloud, worker, keep_running=True)
    made.says("step 1 begin", "done")
    vm = made.row.vm
    Saving.objects.filter(vm=vm).update(state=SavingState.DONE if is_saved else SavingState.DROPPED)
    VM.objects.filter(pk=vm.pk).update(state=VmState.DONE)
    settle_kept()
    assert made.row.state == (BuildState.DONE if is_saved else BuildState.CANCELLED)


def test_a_failed_machine_that_was_mended_is_saved_as_it_is(made, owner):
    made.says("step 1 begin", "step 1 end 1")
    actions.save_build(made.row, by=owner)
    row = made.row
    assert (row.state, row.vm.saving.state) == (BuildState.SAVING, SavingState.PLANNED)


def test_a_guest_that_ignores_the_power_button_fails_the_build_and_can_be_saved_again(made, owner):
    made.cloud.ignore_power_button(made.row.vm.cloud_ref)
    made.says("step 1 begin", "done")
    with time_machine.travel(timezone.now() + timedelta(minutes=3), tick=False):
        made.worker.step()
        made.look()
    row = made.row
    assert (row.state, row.vm.state) == (BuildState.FAILED, VmState.RUNNING)
    assert "ignored the power button" in row.reason
    assert actions.may_save(row)


def test_an_image_that_was_not_saved_fails_the_build(made):
    made.says("step 1 begin", "done")
    Saving.objects.filter(vm=made.row.vm).update(state=SavingState.FAILED, reason="Disk full.")
    made.look()
    assert made.row.reason == "The image was not saved: Disk full."


# Pages -----------------------------------------------------------------------------------


def fields(**more):
    return {**ABOUT, "create_key": str(uuid.uuid4()), "type_name": "m1.small", "installer": "apt",
            "excludes": "/srv/x\n", "start_minutes": "5", "step_minutes": "7", "scripts": "2",
            **more}  # fmt: skip


def new_url(entry):
    return f"{reverse('vms:new_build')}?image={entry.identifier}"


def test_the_page_is_filled_in_from_the_image(client, owner, entry):
    client.force_login(owner)
    page = client.get(new_url(entry)).content.decode()
    assert 'name="version" value="1.1"' in page
    assert '<option value="apt" selected>' in page
    assert "/root/.ssh/authorized_keys" in page


def test_a_build_is_ordered_with_files_and_texts_in_their_places(client, owner, entry):
    client.force_login(owner)
    file = SimpleUploadedFile("set-up.sh", b"#!/bin/sh\r\necho $1\r\n")
    answer = client.post(new_url(entry), fields(**{
        "packages": "nginx, curl\nnginx", "recipe": "a\r\nb\r\n",
        "script-0-position": "2", "script-0-text": "second", "script-0-name": "b",
        "script-1-position": "1", "script-1-file": file, "script-1-arguments": "'a b' c",
    }))  # fmt: skip
    row = Build.objects.get()
    assert answer.headers["location"] == row.get_absolute_url()
    recipe = Recipe.from_json(row.recipe)
    assert recipe.packages == ("nginx", "curl")
    assert recipe.recipe == "a\nb\n"
    assert [script.name for script in recipe.scripts] == ["set-up.sh", "b"]
    assert recipe.scripts[0].text == "#!/bin/sh\necho $1\n"
    assert recipe.scripts[0].arguments == ("a b", "c")
    assert (recipe.excludes, row.start_minutes, row.step_minutes) == (("/srv/x",), 5, 7)


def test_what_is_wrong_is_said_and_files_are_not_lost(client, owner, entry):
    client.force_login(owner)
    answer = client.post(new_url(entry), fields(**{
        "title": "", "script-0-file": SimpleUploadedFile("a.sh", b"echo kept"),
        "script-1-file": SimpleUploadedFile("a.bin", b"\xff\xfe\x00"),
    }))  # fmt: skip
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "Say what the image is called." in page
    assert "echo kept" in page
    assert "a.bin is no text" in page
    answer = client.post(new_url(entry), fields(packages="$(x)", excludes="/etc"))
    assert "is no name of a package" in answer.content.decode()
    answer = client.post(new_url(entry), fields(excludes="/etc"))
    assert "would leave no system" in answer.content.decode()


def test_all_mistakes_of_an_order_are_told_at_once(client, owner, entry):
    client.force_login(owner)
    answer = client.post(new_url(entry), fields(**{
        "comment": "", "packages": "nginx", "installer": "", "script-0-text": "x",
        "script-0-arguments": "'open",
    }))  # fmt: skip
    assert answer.status_code == 422
    errors = answer.context["form"].errors
    assert {"comment", "installer"} <= errors.keys()
    assert "Script 1, Arguments: A quotation mark is not closed." in errors["__all__"]


def test_trying_again_begins_with_the_same_recipe(client, owner, made):
    client.force_login(owner)
    made.says("step 1 begin", "step 1 end 1")
    page = client.get(made.row.get_absolute_url()).content.decode()
    again = re.search(r'href="(/vms/builds/new/\?[^"]*)"', page)[1].replace("&amp;", "&")
    form = client.get(again).content.decode()
    assert 'value="Web"' in form
    assert 'value="s"' in form
    assert "\ntrue\n</textarea>" in form
    assert made.row.create_key.hex not in form.replace("-", "")


def test_strangers_find_nothing(client, made):
    client.force_login(UserFactory())
    row = made.row
    for name in ("build", "build_log"):
        assert client.get(reverse(f"vms:{name}", args=[row.uuid])).status_code == 404
    for name in ("cancel_build", "save_build"):
        assert client.post(reverse(f"vms:{name}", args=[row.uuid])).status_code == 404
    assert row.token not in client.get(reverse("vms:builds")).content.decode()
    again = f"{new_url(row.base)}&from={row.uuid}"
    assert client.get(again).status_code == 404


def test_the_page_calls_it_off_and_saves(client, owner, made):
    client.force_login(owner)
    row = made.row
    answer = client.post(reverse("vms:save_build", args=[row.uuid]), follow=True)
    assert "cannot be saved" in answer.content.decode()
    client.post(reverse("vms:cancel_build", args=[row.uuid]))
    assert made.row.state == BuildState.CANCELLED


def test_the_list_finds_by_words_and_asks_as_often_for_many(
    client, owner, entry, cloud, django_assert_max_num_queries, django_assert_num_queries
):
    client.force_login(owner)
    type(owner).objects.filter(pk=owner.pk).update(
        quota_machines=100, quota_vcpus=100, quota_memory_mib=10**6, quota_images=100
    )
    owner.refresh_from_db()
    client.get(reverse("vms:builds"))
    actions.build(owner=owner, order=order(entry))
    with django_assert_max_num_queries(30) as one:
        assert b"Web" in client.get(reverse("vms:builds")).content
    for _ in range(9):
        actions.build(owner=owner, order=order(entry))
    with django_assert_num_queries(len(one)):
        client.get(reverse("vms:builds"))
    assert b"No images in the making match" in client.get(reverse("vms:builds") + "?q=nix").content
    assert b"Web" in client.get(reverse("vms:builds") + "?q=we+starting").content


def test_a_look_with_nothing_new_writes_nothing(made):
    made.says("step 1 begin")
    before = made.row
    made.look()
    assert made.row.log_read_bytes == before.log_read_bytes
    assert made.row.vm.state == VmState.RUNNING
    assert made.cloud.get_vm(made.row.vm.cloud_ref).phase == VmPhase.RUNNING
