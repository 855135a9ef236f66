"""The ear of a worker hears again after everything that can deafen it."""

import threading

import pytest
from django.db import OperationalError, connection

from cloud.types import VmPhase
from conftest import wait_for
from vms import watch
from vms.models import VM
from vms.states import VmState
from vms.tests.factories import VMFactory


def locked(execute, sql, params, many, context):
    raise OperationalError("database is locked")


@pytest.mark.django_db
def test_a_database_that_is_away_does_not_end_it(cloud):
    with connection.execute_wrapper(locked):
        watch._follow_up("local", "some-ref")
        watch._catch_up("local")


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("redis_server")
def test_what_happened_while_nobody_listened_is_seen_when_somebody_does(cloud):
    vm = VMFactory(running=True)
    VM.objects.update(cloud_ref=cloud.create_vm(vm.spec(), token=vm.token).ref)
    ref = VM.objects.get().cloud_ref
    cloud.set_phase(ref, VmPhase.UNKNOWN, "Its emulator was killed.")
    cloud.hold(ref)
    stop = threading.Event()
    threads = watch.start(stop)
    try:
        wait_for(lambda: VM.objects.get().state == VmState.UNKNOWN)
    finally:
        stop.set()
        for thread in threads:
            thread.join(5)
    assert VM.objects.get().reason == "Its emulator was killed."
