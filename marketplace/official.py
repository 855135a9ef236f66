"""The site's own images: built, kept under ``PORTAL_HOME/images``, and listed."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from django.conf import settings

from cloud.images import BuiltImage
from marketplace.actions import site
from marketplace.identifiers import identifier_of
from marketplace.models import Entry

Report = Callable[[str], None]

_BUILDING = ".building-"


class Build(Protocol):
    def __call__(self, target: Path, *, cache_dir: Path, report: Report) -> BuiltImage: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """An image that the site knows how to build. ``tag`` stays the same over its versions."""

    tag: str
    version: str
    build: Build
    min_memory_mib: int


def kept(recipe: Recipe) -> Entry | None:
    """The entry that makes building and signing this version needless, if there is one.

    It is signed, good for a while and its file is there; or an administrator has withdrawn it,
    which a set-up that runs at every start must not undo.
    """
    entries = _entries_of(recipe)
    for entry in entries:
        if site.is_good(entry) and _has_file(entry):
            return entry
    return entries[0] if entries and entries[0].deprecated else None


def renew(recipe: Recipe) -> Entry | None:
    """Endorse this version anew, if its file is there: nothing has to be built for that.

    So are entries of before the site had a key, which nobody has signed.

    Raises:
        Refused: the site's key cannot sign; the sentence says why.
    """
    for entry in _entries_of(recipe):
        if not entry.deprecated and _has_file(entry):
            return site.endorse_anew(entry)
    return None


def _entries_of(recipe: Recipe) -> list[Entry]:
    said = Entry.objects.filter(
        is_official=True, alternative=recipe.tag, version=recipe.version
    ).select_related("document")
    # In the last of the names that the site has had: what it said in others is over.
    latest = {entry.identifier: entry for entry in said.newest().order_by("pk")}
    return sorted(latest.values(), key=lambda entry: (entry.created_at, entry.pk), reverse=True)


def say_anew_where_the_site_is() -> Iterator[Entry]:
    """Endorse anew, in place of what names an address that the site had before.

    Raises:
        Refused: the site's key cannot sign; the sentence says why.
    """
    for entry in site.with_former_names():
        if not entry.is_kept_here or _has_file(entry):
            yield site.endorse_anew(entry)


def make(recipe: Recipe, *, report: Report) -> tuple[Entry, bool]:
    """Build the image, put its file in place, list it; and say whether its entry is new.

    Raises:
        ImageBuildError: the sentence names the step that failed and what to do.
        OSError: ``PORTAL_HOME/images`` cannot be written.
        Refused: the site's key cannot sign; the sentence says why.
    """
    with _workshop() as folder:
        image = recipe.build(
            folder / "image.qcow2", cache_dir=settings.PORTAL_HOME / "cache", report=report
        )
        _put_in_place(image)
        entry, is_new = site.publish(image, tag=recipe.tag, min_memory_mib=recipe.min_memory_mib)
        _withdraw_the_lost(recipe, by=entry)
    return entry, is_new


def images_path() -> Path:
    return Path(settings.PORTAL_HOME) / "images"


def images_dir() -> Path:
    """The folder of images, made if it is not there. Others may cross it, not list it."""
    folder = images_path()
    folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    return folder


@contextmanager
def _workshop() -> Iterator[Path]:
    """A folder to build in, beside the images; one build at a time, no left-overs."""
    images = images_dir()
    with (images / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left_over in images.glob(f"{_BUILDING}*"):
            shutil.rmtree(left_over)
        with tempfile.TemporaryDirectory(dir=images, prefix=_BUILDING) as name:
            yield Path(name)


def _put_in_place(image: BuiltImage) -> None:
    """Name the file by what it is. A crash leaves the old file or the new one, whole."""
    with image.path.open("rb+") as file:
        os.fsync(file.fileno())
        os.fchmod(file.fileno(), 0o644)
    folder = images_dir()
    image.path.replace(folder / f"{identifier_of(image.sha1)}.{image.format}")
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _has_file(entry: Entry) -> bool:
    path = entry.site_file
    return path is not None and path.is_file() and path.stat().st_size == entry.size_bytes


def _withdraw_the_lost(recipe: Recipe, *, by: Entry) -> None:
    """Deprecate this recipe's entries whose file is gone: nobody could launch them."""
    own = Entry.objects.filter(is_official=True, alternative=recipe.tag, deprecated="").newest()
    for entry in own.exclude(identifier=by.identifier):
        if not _has_file(entry):
            site.withdraw(entry, reason=f"Its file is gone. Replaced by {by.label}.")
