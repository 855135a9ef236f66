"""Disks for tests: defaults are legal and boring, a test says only what matters."""

import hashlib
from datetime import timedelta
from uuid import uuid4

import factory
from django.utils import timezone
from factory.django import DjangoModelFactory

from registration.models import GIB
from registration.tests.factories import UserFactory
from vms.tests.factories import VMFactory
from volumes.models import (
    Access,
    Arrival,
    Attachment,
    Export,
    ExportFormat,
    Offer,
    Origin,
    Share,
    Snapshot,
    Visibility,
    Volume,
)
from volumes.states import (
    ATTACHMENT_DEADLINES,
    EXPORT_DEADLINES,
    SNAPSHOT_DEADLINES,
    VOLUME_DEADLINES,
    AttachmentState,
    ExportState,
    OfferState,
    SnapshotState,
    VolumeState,
)


def _due_in(deadlines):
    return factory.LazyAttribute(lambda o: o.state_since if o.state in deadlines else None)


class VolumeFactory(DjangoModelFactory[Volume]):
    """An empty disk of 1 GiB at rest. The engine knows it only if a test makes it there."""

    class Meta:
        model = Volume

    class Params:
        size_gib = 1
        creating = factory.Trait(state=VolumeState.CREATING, cloud_ref="")
        binned = factory.Trait(
            state=VolumeState.BINNED,
            purge_at=factory.LazyFunction(lambda: timezone.now() + timedelta(days=7)),
        )
        failed = factory.Trait(
            state=VolumeState.FAILED, cloud_ref="", reason="The file is damaged."
        )
        public = factory.Trait(visibility=Visibility.PUBLIC)
        content = b""  # what was uploaded, by its checksums
        uploaded = factory.Trait(
            origin=Origin.UPLOADED,
            content_bytes=factory.LazyAttribute(lambda o: len(o.content)),
            sha1=factory.LazyAttribute(lambda o: hashlib.sha1(o.content).hexdigest()),  # noqa: S324
            sha256=factory.LazyAttribute(lambda o: hashlib.sha256(o.content).hexdigest()),
            sha512=factory.LazyAttribute(lambda o: hashlib.sha512(o.content).hexdigest()),
        )

    uuid = factory.LazyFunction(uuid4)
    owner = factory.SubFactory(UserFactory)
    state = VolumeState.AVAILABLE
    cloud = "local"
    create_key = factory.LazyFunction(uuid4)
    tag = factory.Sequence("disk {}".format)
    size_bytes = factory.LazyAttribute(lambda o: o.size_gib * GIB)
    cloud_ref = factory.LazyAttribute(lambda o: str(o.uuid))
    state_since = factory.LazyFunction(timezone.now)
    next_tick_at = _due_in(VOLUME_DEADLINES)


class ShareFactory(DjangoModelFactory[Share]):
    """Say ``user`` or ``group``, not both."""

    class Meta:
        model = Share

    volume = factory.SubFactory(VolumeFactory)
    access = Access.READ


class ArrivalFactory(DjangoModelFactory[Arrival]):
    class Meta:
        model = Arrival

    volume = factory.SubFactory(VolumeFactory, state=VolumeState.UPLOADING, uploaded=True)
    file_name = "data.img"
    length = factory.SelfAttribute("volume.size_bytes")


class AttachmentFactory(DjangoModelFactory[Attachment]):
    """A disk in use by a running machine of the same person."""

    class Meta:
        model = Attachment

    volume = factory.SubFactory(VolumeFactory, state=VolumeState.IN_USE)
    vm = factory.SubFactory(VMFactory, owner=factory.SelfAttribute("..volume.owner"), running=True)
    by = factory.SelfAttribute("vm.owner")
    state = AttachmentState.ATTACHED
    state_since = factory.LazyFunction(timezone.now)
    next_tick_at = _due_in(ATTACHMENT_DEADLINES)
    device = "/dev/sda"
    attached_at = factory.LazyAttribute(
        lambda o: o.state_since if o.state == AttachmentState.ATTACHED else None
    )


class SnapshotFactory(DjangoModelFactory[Snapshot]):
    class Meta:
        model = Snapshot

    uuid = factory.LazyFunction(uuid4)
    volume = factory.SubFactory(VolumeFactory)
    state = SnapshotState.READY
    state_since = factory.LazyFunction(timezone.now)
    next_tick_at = _due_in(SNAPSHOT_DEADLINES)
    name = factory.Sequence("snapshot {}".format)
    size_bytes = factory.SelfAttribute("volume.size_bytes")


class ExportFactory(DjangoModelFactory[Export]):
    class Meta:
        model = Export

    volume = factory.SubFactory(VolumeFactory)
    owner = factory.SelfAttribute("volume.owner")
    state = ExportState.PREPARING
    state_since = factory.LazyFunction(timezone.now)
    next_tick_at = _due_in(EXPORT_DEADLINES)
    format = ExportFormat.RAW


class OfferFactory(DjangoModelFactory[Offer]):
    class Meta:
        model = Offer

    volume = factory.SubFactory(VolumeFactory)
    owner = factory.SelfAttribute("volume.owner")
    to = factory.SubFactory(UserFactory)
    state = OfferState.OFFERED
