"""Machines for tests: defaults are legal and boring, a test says only what matters."""

from uuid import uuid4

import factory
from django.utils import timezone

from marketplace.tests.factories import EntryFactory
from registration.tests.factories import UserFactory
from vms.models import VM, Readiness
from vms.states import VM_DEADLINES, VmState


class VMFactory(factory.django.DjangoModelFactory[VM]):
    class Meta:
        model = VM
        skip_postgeneration_save = True

    class Params:
        running = factory.Trait(
            state=VmState.RUNNING,
            cloud_ref=factory.LazyAttribute(lambda o: str(o.uuid)),
            address="127.0.0.1",
            endpoints=[{"guest_port": 22, "host": "127.0.0.1", "port": 20022}],
        )

    uuid = factory.LazyFunction(uuid4)
    owner = factory.SubFactory(UserFactory)
    entry = factory.SubFactory(EntryFactory)
    state = VmState.PENDING
    cloud = "local"
    launch_key = factory.LazyFunction(uuid4)
    name = factory.Sequence("machine {}".format)
    type_name = "m1.small"
    vcpus = 1
    memory_mib = 512
    state_since = factory.LazyFunction(timezone.now)
    next_tick_at = factory.LazyAttribute(
        lambda o: o.state_since if o.state in VM_DEADLINES else None
    )

    @factory.post_generation
    def readiness(self, create, extracted, **kwargs):
        if create:
            Readiness.objects.create(vm=self)
