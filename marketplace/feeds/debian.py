"""Debian's cloud images: a manifest in JSON beside each image, with its SHA-512.

``https://cloud.debian.org/images/cloud/<codename>/latest/debian-12-genericcloud-amd64.json`` is a
list of a ``Build`` and of ``Upload``s, one for each form of the image; an upload's ``data.ref`` is
its path below ``…/images/cloud/``, its annotation ``cloud.debian.org/digest`` is ``sha512:`` and
base64 without padding. Sizes are not stated. Folders are read from the web server's listing.
"""

import re
from base64 import b64decode
from binascii import Error
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urljoin

from core.fetch import Unfetchable
from marketplace.architectures import architecture_named
from marketplace.feeds import limits
from marketplace.feeds.model import Found, Get, Item, Problem, Unreadable
from marketplace.feeds.naming import below, day_of, problem, tag_of

MOST_LISTING_BYTES = 1 << 20
MOST_MANIFEST_BYTES = 8 << 20
MOST_FOLDERS = 30
#: Of each release, the image for clouds; the others differ in what hardware they know.
VENDOR = "genericcloud"
#: When each release's long term support ends. Source: https://wiki.debian.org/LTS, November 2026.
SUPPORTED_UNTIL: Mapping[int, datetime] = {
    11: datetime(2026, 8, 31, 23, 59, 59, tzinfo=UTC),
    12: datetime(2028, 6, 30, 23, 59, 59, tzinfo=UTC),
    13: datetime(2030, 6, 30, 23, 59, 59, tzinfo=UTC),
}

_LINK = re.compile(rb"""href=["']?([A-Za-z0-9._/-]{1,200})["']?""")
_FOLDER = re.compile(r"[a-z]{2,20}/")
_MANIFEST = re.compile(rf"debian-\d{{1,3}}-{VENDOR}-[a-z0-9]{{2,10}}\.json")
_REF = re.compile(
    r"(?P<suite>[a-z]{2,20})/(?:latest|(?P<build>[0-9]{8}-[0-9]{1,8}))/"
    r"debian-(?P<number>\d{1,3})-(?P<vendor>[a-z]+)-(?P<arch>[a-z0-9]+)(?:-[0-9-]+)?\.qcow2"
)


def read(url: str, get: Get) -> Iterator[Found]:
    """The image of each release and architecture; of one alone, if ``url`` is its manifest.

    Raises:
        core.fetch.Unfetchable: the listing, or that manifest, cannot be had.
        Unreadable: there is none below ``url``.
    """
    if url.endswith(".json"):
        yield _manifest(urljoin(url, "../../"), url, get)
        return
    base = url.rstrip("/") + "/"
    found = False
    for folder in _links(base, get, _FOLDER)[:MOST_FOLDERS]:
        latest = f"{base}{folder}latest/"
        for name in _latest(latest, get):
            found = True
            yield _manifest(base, latest + name, get)
    if not found:
        raise Unreadable(
            "No manifest was found: the address should be the folder of the releases "
            "(…/images/cloud/), which the server must list, or one manifest (….json)."
        )


def _latest(url: str, get: Get) -> list[str]:
    """Manifests in a release's newest folder. A release that has only daily builds has none."""
    try:
        return _links(url, get, _MANIFEST)
    except Unfetchable as error:
        if error.is_passing:
            raise
        return []


def _links(url: str, get: Get, pattern: re.Pattern[str]) -> list[str]:
    with get(url, most_bytes=MOST_LISTING_BYTES) as file:
        names = [match.decode() for match in _LINK.findall(file.read(MOST_LISTING_BYTES))]
    return sorted({name for name in names if pattern.fullmatch(name)})


def _manifest(base: str, url: str, get: Get) -> Item | Problem:
    try:
        with get(url, most_bytes=MOST_MANIFEST_BYTES) as file:
            manifest = limits.whole(file)
    except Unreadable as error:
        return problem(url, str(error))
    except Unfetchable as error:
        if error.is_passing:
            raise
        return problem(url, str(error))
    items = manifest.get("items") if isinstance(manifest, dict) else None
    for upload in items if isinstance(items, list) else ():
        if limits.text(upload, "kind") == "Upload" and _format_of(upload) == "qcow2":
            return _item(base, url, upload)
    return problem(url, "The manifest names no file in the format qcow2.")


def _format_of(upload: Any) -> str:
    labels = limits.child(upload, "metadata", "labels")
    return limits.text(labels, "upload.cloud.debian.org/image-format")


def _item(base: str, url: str, upload: Any) -> Item | Problem:
    ref = limits.text(limits.child(upload, "data"), "ref", 300)
    annotations = limits.child(upload, "metadata", "annotations")
    digest = _sha512_of(limits.text(annotations, "cloud.debian.org/digest"))
    named = _REF.fullmatch(ref)
    location = below(base, ref)
    if named is None or not location:
        return problem(url, f"The manifest names a file in an unknown way: {ref[:100]}")
    if not digest:
        return problem(url, "The manifest states no SHA-512 of the image.")
    labels = limits.child(upload, "metadata", "labels")
    version = named["build"] or limits.text(labels, "cloud.debian.org/version", 60)
    built = day_of(version)
    if built is None:
        return problem(url, f"The version {version[:50]} does not begin with a day.")
    return _said(location, digest, version, built, named)


def _said(location: str, digest: str, version: str, built: datetime, named: re.Match[str]) -> Item:
    number, arch = named["number"], architecture_named(named["arch"])
    title = f"Debian {number} ({named['suite'].capitalize()})"
    until = SUPPORTED_UNTIL.get(int(number))
    return Item(
        location=location,
        sha512=digest,
        title=title,
        description=f"{title} for {arch}, built on {built:%Y-%m-%d}.",
        os="Debian",
        os_version=number,
        os_arch=arch,
        version=version,
        tag=tag_of("debian", number, arch),
        created=built,
        is_supported=until is not None or int(number) > max(SUPPORTED_UNTIL),
        supported_until=until,
        default_user="debian",
    )


def _sha512_of(text: str) -> str:
    """The digest in hexadecimal; "" if it is none."""
    kind, _, digits = text.partition(":")
    if kind != "sha512":
        return ""
    try:
        raw = b64decode(digits + "=" * (-len(digits) % 4), validate=True)
    except (Error, ValueError):
        return ""
    return raw.hex() if len(raw) == 64 else ""
