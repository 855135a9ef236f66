"""Simplestreams: Ubuntu's and Linux Containers' lists of images.

``streams/v1/index.json`` names files of products; each product has versions, each version items.
Only the newest version of a product is taken, and one disk of it. Sources: ``simplestreams`` of
Ubuntu (format ``products:1.0``), ``shared/simplestreams/products.go`` of LXD.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from marketplace.architectures import architecture_named
from marketplace.feeds import limits
from marketplace.feeds.model import Found, Get, Item, Problem, Unreadable
from marketplace.feeds.naming import (
    USERS,
    below,
    day_of,
    end_of,
    order_of,
    problem,
    sha256_of,
    tag_of,
)

INDEX = "streams/v1/index.json"
#: Files of products of one index that are read.
MOST_FILES = 10
#: Types of files that are a whole disk, unpacked; the first of them that a version has.
DISKS: Mapping[str, str] = {
    "disk1.img": "qcow2",
    "disk.img": "qcow2",
    "disk-kvm.img": "qcow2",
    "uefi1.img": "qcow2",
    "disk.qcow2": "qcow2",
    "disk.raw": "raw",
}


def read(url: str, get: Get) -> Iterator[Found]:
    """The newest disk of each product.

    Raises:
        core.fetch.Unfetchable: the index cannot be had.
        Unreadable: it is none.
    """
    base = base_of(url)
    with get(base + INDEX, most_bytes=limits.MOST_BYTES) as file:
        index = limits.whole(file)
    paths = [
        limits.text(content, "path", 500)
        for content in limits.child(index, "index").values()
        if limits.text(content, "datatype") == "image-downloads"
        and limits.text(content, "format") == "products:1.0"
    ]
    if not paths:
        raise Unreadable("The index names no list of images to download (products:1.0).")
    for path in paths[:MOST_FILES]:
        where = below(base, path)
        if not where:
            yield problem(path, "The index names a list that is not below its own address.")
            continue
        with get(where, most_bytes=limits.MOST_BYTES) as file:
            for name, product in limits.members(file, "products"):
                found = _newest(base, name, product)
                if found is not None:
                    yield found


def base_of(url: str) -> str:
    """What paths are below: of an index, or of the folder that has ``streams``."""
    head, found, _ = url.partition("streams/v1")
    return (head if found else url).rstrip("/") + "/"


def _newest(base: str, name: str, product: Any) -> Item | Problem | None:
    """The disk of a product's newest version that has one; None if no version has."""
    versions = limits.child(product, "versions")
    for version in sorted(versions, key=order_of, reverse=True):
        disk = _disk_of(limits.child(versions, version, "items"))
        if disk is not None:
            return _item(base, name, product, version, *disk)
    return None


def _disk_of(items: dict[str, Any]) -> tuple[dict[str, Any], str] | None:
    """The item that is a disk, and its format."""
    by_type = {
        limits.text(item, "ftype") or name: item
        for name, item in items.items()
        if isinstance(item, dict)
    }
    return next(((by_type[kind], form) for kind, form in DISKS.items() if kind in by_type), None)


def _item(
    base: str, name: str, product: Any, version: str, disk: dict[str, Any], form: str
) -> Item | Problem:
    what = f"{name} {version}"
    location = below(base, limits.text(disk, "path", 500))
    digest = sha256_of(limits.text(disk, "sha256"))
    built = day_of(version)
    if not location:
        return problem(what, "Its path leads out of the folder that the index is about.")
    if not digest:
        return problem(what, "The index states no SHA-256 of it.")
    if built is None:
        return problem(what, f"Its version {version[:50]} does not begin with a day.")
    return Item(
        location=location,
        sha256=digest,
        size_bytes=limits.number(disk, "size") or None,
        format=form,
        version=version[:60],
        created=built,
        **_said(product, built),
    )


def _said(product: Any, built: datetime) -> dict[str, Any]:
    """What the index says of the product, whatever its version."""
    system = _shown(limits.text(product, "os", 60) or "Linux")
    release = limits.text(product, "version", 60) or limits.text(product, "release", 60)
    arch = architecture_named(limits.text(product, "arch", 30))
    variant = limits.text(product, "variant", 30)
    variant = "" if variant == "default" else variant
    title = _title(product, system, release, variant)
    return {
        "title": title,
        "description": f"{title} for {arch}, built on {built:%Y-%m-%d}.",
        "os": system,
        "os_version": release,
        "os_arch": arch,
        "tag": tag_of(system, release, variant, arch),
        "is_supported": product.get("supported") is not False,
        "supported_until": end_of(day_of(limits.text(product, "support_eol"))),
        "default_user": USERS.get(system.lower(), "root"),
    }


def _shown(system: str) -> str:
    """As people write it, where the index has small letters only."""
    return system.capitalize() if system == system.lower() else system


def _title(product: Any, system: str, release: str, variant: str) -> str:
    called = limits.text(product, "release_title", 60) or release
    nickname = limits.text(product, "release_codename", 60)
    words = [system, called, f"({nickname})" if nickname else "", variant]
    return " ".join(filter(None, words))[:200]
