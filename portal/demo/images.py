"""Made-up images: systems as sites have them, and what is said about them, thousands in seconds."""

import hashlib
import random
from collections.abc import Iterator
from datetime import datetime, timedelta

from cloud.types import ImageFormat
from marketplace.identifiers import identifier_of
from marketplace.models import Entry
from marketplace.states import Compression, Kind, Trust
from portal.demo import words
from portal.demo.making import DOMAIN

#: Of so many people, most of what there is comes from a few.
ENDORSERS = 240
_FORMATS = (ImageFormat.QCOW2.value, ImageFormat.QCOW2.value, "raw")
_PACKED = (Compression.NONE, Compression.NONE, Compression.GZIP, Compression.XZ)
_TRUST = (Trust.TRUSTED, Trust.UNTRUSTED, Trust.UNTRUSTED, Trust.UNSIGNED)


def entries(rng: random.Random, number: int, now: datetime) -> Iterator[Entry]:
    """So many, not saved. A launch of one of them ends in Failed, and says so."""
    people = [_endorser(rng, n) for n in range(max(3, min(ENDORSERS, number // 4)))]
    systems = [(name, version) for name, versions in words.SYSTEMS for version in versions]
    # Some systems are everywhere, others are rare.
    weights = [1 / (1 + place) ** 0.6 for place in range(len(systems))]
    for count in range(number):
        (system,) = rng.choices(systems, weights)
        person = people[min(int(rng.expovariate(8 / len(people))), len(people) - 1)]
        yield _entry(rng, count, now, system, person)


def _endorser(rng: random.Random, number: int) -> tuple[str, str, str]:
    given, family = rng.choice(words.GIVEN), rng.choice(words.FAMILY)
    group = f"{rng.choice(words.INSTITUTES)} group"
    return f"{given} {family}", f"{given}.{family}.{number}@{DOMAIN}".lower(), group


def _entry(
    rng: random.Random,
    number: int,
    now: datetime,
    system: tuple[str, str],
    person: tuple[str, str, str],
) -> Entry:
    name, email, group = person
    content = f"{DOMAIN} {number}".encode()
    sha1 = hashlib.sha1(content).hexdigest()  # noqa: S324  (the identifier is made of it)
    endorsed = (now - timedelta(days=rng.uniform(1, 500))).replace(microsecond=0)
    is_disk = rng.random() < 0.08
    size = rng.randint(200 << 20, 4 << 30)
    said = _data(rng) if is_disk else _machine(rng, *system)
    return Entry(
        identifier=identifier_of(sha1),
        endorser_email=email,
        endorser_name=name,
        created_at=endorsed,
        image_created_at=endorsed - timedelta(days=1),
        publisher=group,
        creator=name,
        version=f"{rng.randint(1, 4)}.{rng.randint(0, 9)}",
        format=rng.choice(_FORMATS),
        compression=rng.choice(_PACKED),
        size_bytes=size,
        virtual_size_bytes=max(size, rng.choice((4, 8, 10, 20, 40)) << 30),
        sha1=sha1,
        sha256=hashlib.sha256(content).hexdigest(),
        sha512=hashlib.sha512(content).hexdigest(),
        trust=rng.choice(_TRUST),
        locations=[_location(rng, number)],
        valid_until=endorsed + timedelta(days=rng.choice((180, 365, 365, 730))),
        deprecated="Replaced by a newer build." if rng.random() < 0.05 else "",
        min_memory_mib=rng.choice((0, 0, 512, 1024, 2048)),
        **said,
    )


def _machine(rng: random.Random, system: str, version: str) -> dict[str, str]:
    software, about = rng.choice(words.SOFTWARE)
    flavour = rng.choice(words.FLAVOURS)
    return {
        "kind": Kind.MACHINE,
        "title": f"{system} {version} with {software}",
        "alternative": f"{system}-{software.split()[-1]}-{flavour}".lower(),
        "description": f"{system} {version} and {software}, {flavour}. {about} "
        f"{rng.choice(words.REMARKS)} Made up, to show a full catalogue.",
        "os": system,
        "os_version": version,
        "os_arch": rng.choices(words.ARCHITECTURES, (70, 15, 10, 3, 2))[0],
    }


def _data(rng: random.Random) -> dict[str, str]:
    title, about = rng.choice(words.DATA)
    return {
        "kind": Kind.DISK,
        "title": f"{title}, release {rng.randint(1, 40)}",
        "alternative": title.lower().replace(" ", "-"),
        "description": f"{about} Attach it read-only. Made up, to show a full catalogue.",
        "os": "",
        "os_version": "",
        "os_arch": "none",
    }


def _location(rng: random.Random, number: int) -> str:
    if rng.random() < 0.1:
        return f"pdisk:disks.{DOMAIN}:{rng.randbytes(16).hex()}"
    return f"https://images.{DOMAIN}/{number}.qcow2"
