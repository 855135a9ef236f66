"""Drafts for tests: of disks that came in as real files, measured by a real worker."""

from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from core.machine import tick
from marketplace import actions
from marketplace.composing import Said
from marketplace.lifecycle import DRAFT_STEPS
from marketplace.models import Draft, Inspection
from marketplace.states import InspectionState
from registration.models import User
from registration.tests.factories import UserFactory
from volumes.models import Volume
from volumes.tests.intake import QUOTA_BYTES, arrive, landed

#: Half a MiB that is not the same everywhere, with zeros behind it.
CONTENT = bytes(range(256)) * 2048 + bytes(512 << 10)


def endorser(username: str = "ada", **more) -> User:
    """Somebody with an address that is theirs."""
    return UserFactory(
        username=username, given_name="Ada", family_name="Lovelace",
        quota_disk_bytes=QUOTA_BYTES, **more,
    )  # fmt: skip


def arrived(owner: User, content: bytes = CONTENT, *, tag: str = "debian", **arrival) -> Volume:
    """A disk of this person whose file came in."""
    volume = arrive(landed(content, owner=owner, **arrival))
    assert volume.state == "available", volume.reason
    Volume.objects.filter(pk=volume.pk).update(tag=tag)
    volume.refresh_from_db()
    return volume


def step(draft: Draft) -> Draft:
    """One look at it, now."""
    Draft.objects.filter(pk=draft.pk).update(next_tick_at=timezone.now(), lease_until=None)
    tick(Draft.objects.select_related("owner", "volume").get(pk=draft.pk), DRAFT_STEPS)
    return Draft.objects.get(pk=draft.pk)


def measure(draft: Draft) -> Draft:
    """Until it is at rest."""
    for _ in range(4):
        if not draft.is_moving:
            return draft
        draft = step(draft)
    raise AssertionError(f"It is still {draft.state}: {draft.reason}")


def measured(owner: User, content: bytes = CONTENT, **arrival) -> Draft:
    """A draft of a disk, ready to be signed but for the answers."""
    volume = arrived(owner, content, **arrival)
    draft = measure(actions.draft_of_disk(volume, by=owner, create_key=uuid4()))
    assert draft.state == "ready", draft.reason
    nothing_found(volume)
    return draft


def nothing_found(volume: Volume) -> None:
    """It has been looked into, and everybody may have it."""
    Inspection.objects.filter(volume=volume).update(
        state=InspectionState.READY, report={"is_read": True}, next_tick_at=None
    )


FETCH = {"X-Requested-With": "fetch"}


ANSWERS = {
    "title": "Debian 12 with R", "description": "Small. With R.", "kind": "machine",
    "type": "base", "os": "Debian", "os_version": "12", "os_arch": "x86_64", "version": "1.0",
    "hypervisor": "kvm", "disks_bus": "virtio", "inbound_ports": "22, 80", "default_user": "root",
    "creator": "Ada", "publisher": "Example Lab", "min_memory_mib": "512",
}  # fmt: skip


@pytest.fixture(autouse=True)
def places(settings, tmp_path):
    settings.PORTAL_ARRIVALS = tmp_path / "arrivals"
    settings.PORTAL_DOWNLOADS = tmp_path / "downloads"
    settings.PORTAL_IMAGE_ARRIVALS = tmp_path / "image-arrivals"


@pytest.fixture
def ada(db):
    return endorser()


@pytest.fixture
def page(ada, client) -> Client:
    client.force_login(ada)
    return client


def answers(**more) -> dict[str, object]:
    valid = (timezone.now() + timezone.timedelta(days=183)).date().isoformat()
    return {**ANSWERS, "valid": valid, **more}


def said_of(draft: Draft, **more) -> Said:
    until = timezone.now() + timezone.timedelta(days=183)
    return Said(title="Debian", valid=until, **more)


def url(name: str, draft: Draft) -> str:
    return reverse(f"marketplace:{name}", args=[draft.uuid])
