"""Rows for tests: defaults are legal and boring, a test says only what matters."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import factory
from django.utils import timezone

from marketplace.identifiers import identifier_of
from marketplace.models import Entry, ImageFile
from marketplace.states import IMAGE_DEADLINES, ImageState


class EntryFactory(factory.django.DjangoModelFactory[Entry]):
    """``content`` is what the image's file holds; checksums and identifier follow from it."""

    class Meta:
        model = Entry

    class Params:
        content = factory.Sequence(lambda n: f"image {n}".encode())
        official = factory.Trait(is_official=True, endorser_name="StratusLab")
        expired = factory.Trait(
            valid_until=factory.LazyFunction(lambda: timezone.now() - timedelta(days=1))
        )

    @classmethod
    def _create(cls, model_class: type[Entry], *args: Any, **kwargs: Any) -> Entry:
        """As ``publish_document`` keeps it: the newest word of an endorser is the last one."""
        same = {name: kwargs[name] for name in ("identifier", "endorser_email")}
        others = Entry.objects.filter(**same)
        if "is_latest" not in kwargs:
            kwargs["is_latest"] = not others.filter(created_at__gt=kwargs["created_at"]).exists()
        if kwargs["is_latest"]:
            others.update(is_latest=False)
        return super()._create(model_class, *args, **kwargs)

    sha1 = factory.LazyAttribute(lambda o: hashlib.sha1(o.content).hexdigest())  # noqa: S324
    sha256 = factory.LazyAttribute(lambda o: hashlib.sha256(o.content).hexdigest())
    sha512 = factory.LazyAttribute(lambda o: hashlib.sha512(o.content).hexdigest())
    size_bytes = factory.LazyAttribute(lambda o: len(o.content))
    identifier = factory.LazyAttribute(lambda o: identifier_of(o.sha1))
    is_kept_here = True
    created_at = factory.Sequence(
        lambda n: datetime(2026, 1, 15, 10, tzinfo=UTC) + timedelta(seconds=n)
    )
    valid_until = factory.LazyFunction(lambda: timezone.now() + timedelta(days=100))
    endorser_email = "alice@example.org"
    title = factory.Sequence(lambda n: f"Image {n}")
    description = "A small image. It is for tests."
    os = "Debian"
    os_version = "12"
    os_arch = "x86_64"
    version = "1.0"


class ImageFileFactory(factory.django.DjangoModelFactory[ImageFile]):
    class Meta:
        model = ImageFile

    class Params:
        ready = factory.Trait(state=ImageState.READY, ref="fake-image")

    entry = factory.SubFactory(EntryFactory)
    identifier = factory.SelfAttribute("entry.identifier")
    cloud = "local"
    state = ImageState.WANTED
    next_tick_at = factory.LazyAttribute(
        lambda o: timezone.now() if o.state in IMAGE_DEADLINES else None
    )
