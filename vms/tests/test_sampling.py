"""Use over time."""

from datetime import timedelta

import pytest
from django.utils import timezone

from cloud.types import VmPhase
from vms import sampling
from vms.models import VM, Sample
from vms.tests.factories import VMFactory

pytestmark = pytest.mark.django_db


def at(seconds, **fields):
    base = timezone.now().replace(microsecond=0)
    counters = {"cpu_s": 0.0, "memory_bytes": 0, **fields}
    return Sample(at=base + timedelta(seconds=seconds), **counters)


def test_rates_are_between_neighbours():
    lines = sampling.series([
        at(0, cpu_s=10, disk_read_bytes=0, memory_bytes=2**20),
        at(60, cpu_s=40, disk_read_bytes=6000, memory_bytes=2**21),
    ])  # fmt: skip
    assert lines["cpu_percent"] == [50.0]
    assert lines["disk_read_bps"] == [100.0]
    assert lines["memory_mib"] == [2]


def test_what_an_engine_does_not_count_and_a_restart_are_gaps():
    lines = sampling.series([at(0, cpu_s=50), at(60, cpu_s=1)])
    assert lines["cpu_percent"] == [None]
    assert lines["net_rx_bps"] == [None]


def test_one_call_and_few_queries_for_any_number_of_machines(cloud, django_assert_num_queries):
    for vm in VMFactory.create_batch(20, running=True):
        ref = cloud.create_vm(vm.spec(), token=vm.token).ref
        cloud.set_phase(ref, VmPhase.RUNNING)
        VM.objects.filter(pk=vm.pk).update(cloud_ref=ref)
    # rows, one insert, one update
    with django_assert_num_queries(3):
        assert sampling.sample("local") == 20
    assert Sample.objects.count() == 20


def test_old_samples_are_thinned_and_then_forgotten(db):
    vm, now = VMFactory(), timezone.now().replace(minute=30, second=0, microsecond=0)

    def keep(age, minute):
        moment = (now - age).replace(minute=minute)
        return Sample.objects.create(vm=vm, at=moment, cpu_s=0, memory_bytes=0).pk

    young = keep(timedelta(hours=1), 7)
    tenth, seventh = keep(timedelta(hours=12), 10), keep(timedelta(hours=12), 7)
    ancient = keep(timedelta(days=8), 10)
    assert sampling.thin(now) == 2
    assert set(Sample.objects.values_list("pk", flat=True)) == {young, tenth} - {seventh, ancient}


def test_a_machine_that_ended_meanwhile_uses_nothing(cloud, monkeypatch):
    vm = VMFactory(running=True)
    ref = cloud.create_vm(vm.spec(), token=vm.token).ref
    cloud.set_phase(ref, VmPhase.RUNNING)
    VM.objects.filter(pk=vm.pk).update(cloud_ref=ref)
    usage = type(cloud).usage

    def while_asking(self, refs):
        VM.objects.update(state="done")
        return usage(self, refs)

    monkeypatch.setattr(type(cloud), "usage", while_asking)
    sampling.sample("local")
    assert VM.objects.get().memory_used_bytes is None
