"""Whatever is sent to a door, it refuses or it does: it does not break."""

import copy
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from typing import Any
from urllib.parse import parse_qsl, quote_plus, urlsplit
from zlib import crc32

import pytest
from django.db import transaction
from django.test import Client
from lxml import html

from portal.api import api
from tests.doors import Door, doors
from tests.laws import matrix
from tests.laws.roles import FORM, World

pytestmark = [
    pytest.mark.django_db, pytest.mark.slow, pytest.mark.both, pytest.mark.timeout(300)
]  # fmt: skip

#: So many of them are tried at each place: the first, and others at each.
EACH = 6
#: What breaks a conversion, a database, a path, a calendar or a page. PostgreSQL has no NUL.
BYTES = (
    b"a\0b", b"\0", b"", b" ", b"\xff\xfe", b"\xed\xa0\x80", b"-1", b"9" * 400, b"1e999", b"nan",
    b"inf", b"\xc2\xb2", b"\xd9\xa3", b"0x10", b"None", b"null", b"[]", b"{}", b"\r\nX: y", b"%",
    b"%s%n", b"../../etc/passwd", b"'\"<>&", b"\xe2\x80\xae", b"x" * 70_000, b"2026-13-45",
    b"0001-01-01T00:00:00+14:00", b"9999-12-31T23:59:59-14:00", b"2026-02-30T25:61",
    b"00000000-0000-4000-8000-000000000000", b"[::1", b"http://[", b"a@b@c", b"*" * 200,
)  # fmt: skip
#: The same in JSON, where values have kinds too.
VALUES = (
    r'"a\u0000b"', "null", "true", "0", "-1", "1.5", "1e400", "9" * 400, "NaN", "Infinity", '""',
    '" "', r'"\u0000"', r'"\ud800"', r'"\u202e"', "[]", "{}", "[null]", "[[]]", "[{}]",
    '[""]', r'["\u0000"]', r'["\ud800"]', f'"{"x" * 70_000}"', '"2026-13-45"', '"http://["',
    '"0001-01-01T00:00:00+14:00"', '"9999-12-31T23:59:59-14:00"', f"{'[' * 60}{']' * 60}",
    '"00000000-0000-4000-8000-000000000000"', '["00000000-0000-4000-8000-000000000000"]',
    r'{"": null}', r'{"a\u0000": "\u0000"}',
)  # fmt: skip
BODIES = (
    b"", b"\xff", b"null", b"[]", b"1", b'"x"', b"{", b"[" * 100_000, b'{"a":' * 5000, b"NaN",
    b"\xef\xbb\xbf{}", rb'{"\ud800": 1}', "{}".encode("utf-16"),
)  # fmt: skip
#: Stands in a body where garbage is to be.
HERE = "garbage goes here"


@dataclass(frozen=True)
class Form:
    method: str
    path: str
    fields: tuple[tuple[str, bytes], ...]

    def sent(self) -> str:
        return "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in self.fields)

    def places(self) -> Iterator[tuple[int, str]]:
        """Each field, and what it is alike with on other pages."""
        for at, (name, _) in enumerate(self.fields):
            yield at, re.sub(r"[0-9a-f-]{36}|\d+", "#", f"{self.method} {self.path} {name}")


def ask(client: Client, method: str, path: str, **sent: Any) -> str:
    """What broke, or ""; whatever was done is undone."""
    fresh = Client(raise_request_exception=False)
    fresh.cookies = client.cookies.copy()
    with transaction.atomic():
        response = fresh.generic(method, path, **sent)
        if response.streaming:
            response.close()
        transaction.set_rollback(True)
    if response.status_code < 500 or response.status_code == 503:
        return ""
    return f"{response.status_code} {getattr(response, 'exc_info', ('', ''))[1]!r}"


def page(client: Client, door: Door, path: str) -> bytes:
    """A page in HTML, or nothing."""
    with transaction.atomic():
        response = client.get(path)
        transaction.set_rollback(True)
    is_page = response.headers.get("Content-Type", "").startswith("text/html")
    if response.status_code != 200 or response.streaming or not is_page:
        return b""
    return response.content.strip()


def forms_of(text: bytes, path: str) -> Iterator[Form]:
    """The forms of a page, and one of what its own links ask for."""
    root = html.fromstring(text)
    for form in root.iter("form"):
        action = urlsplit(form.get("action") or path).path or path
        fields = [
            (field.name, field.value.encode() if isinstance(field.value, str) else b"")
            for field in form.inputs
            if field.name and field.name != "csrfmiddlewaretoken"
        ]
        yield Form((form.get("method") or "get").upper(), action, tuple(fields))
    own = {"", urlsplit(path).path}
    links = [urlsplit(link.get("href") or "") for link in root.iter("a")]
    asked = dict(pair for link in links if link.path in own for pair in parse_qsl(link.query))
    yield Form("GET", urlsplit(path).path, tuple((k, v.encode()) for k, v in asked.items()))


def some(garbage: tuple[Any, ...], place: str) -> Iterable[Any]:
    """A few of them, always the same for a place."""
    start = crc32(place.encode()) % len(garbage)
    return [garbage[0], *islice(garbage + garbage, start, start + EACH - 1)]


@pytest.mark.parametrize("role", ["owner", "administrator", "visitor"])
def test_whatever_a_form_is_sent_it_does_not_break(role, settings, redis_server):
    settings.EMAIL_BACKEND = "registration.filebased.EmailBackend"
    world = World()
    client = world.clients()[role].client
    table = matrix.every_line()
    broken, seen = [], set()
    for door in doors():
        if (door.name, "GET") not in table or not (text := page(client, door, world.path(door))):
            continue
        for form in forms_of(text, world.path(door)):
            for at, place in form.places():
                for bad in () if place in seen else some(BYTES, place):
                    changed = list(form.fields)
                    changed[at] = (form.fields[at][0], bad)
                    if said := send(client, replace(form, fields=tuple(changed))):
                        broken.append(f"{place} = {bad[:40]!r}: {said}")
                seen.add(place)
    assert broken == []
    assert len(seen) > 30


def send(client: Client, form: Form) -> str:
    if form.method == "GET":
        return ask(client, "GET", form.path, QUERY_STRING=form.sent())
    return ask(client, form.method, form.path, data=form.sent(), content_type=FORM)


# Programs --------------------------------------------------------------------------------


def schema_of(schema: dict[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
    """Without references; of several, the first that is not null."""
    while "$ref" in schema:
        schema = spec["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            first = next(one for one in schema[several] if one.get("type") != "null")
            return schema_of(first, spec)
    return schema


def example(schema: dict[str, Any], spec: dict[str, Any], *, is_whole: bool) -> Any:
    """A value of this schema, with what has to be there or with all that may be."""
    schema = schema_of(schema, spec)
    if "enum" in schema:
        return schema["enum"][0]
    if "properties" in schema:
        names = schema["properties"] if is_whole else schema.get("required", [])
        return {
            name: example(schema["properties"][name], spec, is_whole=is_whole) for name in names
        }
    match schema.get("type"):
        case "array":
            return [example(schema.get("items", {}), spec, is_whole=is_whole)]
        case "integer" | "number":
            return max(1, schema.get("minimum", 1))
        case "boolean":
            return True
        case "object":
            return {}
    is_uuid = schema.get("format") == "uuid"
    return "00000000-0000-4000-8000-000000000000" if is_uuid else "abc"


def places(value: Any, *trail: Any) -> Iterator[tuple[Any, ...]]:
    """The way to everything in it."""
    if trail:
        yield trail
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in pairs:
            yield from places(inner, *trail, key)


def with_garbage(least: dict[str, Any], whole: dict[str, Any], trail: tuple[Any, ...]) -> str:
    """A body that is right, but for one place."""
    body = least | {trail[0]: copy.deepcopy(whole[trail[0]])}
    inner: Any = body
    for step in trail[:-1]:
        inner = inner[step]
    inner[trail[-1]] = HERE
    return json.dumps(body, default=str)


def right(world: World, door: Door) -> dict[str, Any]:
    """What is to be in a body, so that more than its first line is looked at."""
    image = world.entry.identifier
    found: dict[str, dict[str, Any]] = {
        "api:vms": {"image": image},
        "api:launch_batch": {"machines": [{"name": "a", "image": image}]},
        "api:new_build": {"image": image, "title": "a", "comment": "b"},
        "api:clusters": {"image": image, "name": "a", "workers": 1},
        "api:fetch_disk": {"url": "https://example.org/a.img"},
        "api:webhooks": {"url": "https://hooks.example.org/", "kinds": ["machine_ready"]},
    }
    return found.get(door.name, {}) | dict(world.data(door))


@cache
def api_doors() -> dict[str, Door]:
    ours = [door for door in doors() if door.name.startswith("api:")]
    return {re.sub(r"<[^>]*>", "{}", f"/{door.route}"): door for door in ours}


def requests(world: World) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Every question to the API with garbage in it: where, method, path, what is sent."""
    spec = api.get_openapi_schema()
    for route, methods in spec["paths"].items():
        door = api_doors()[re.sub(r"{[^}]*}", "{}", route)]
        for method, operation in methods.items():
            place = f"{method.upper()} {route}"
            for one in operation.get("parameters", []):
                for bad in some(BYTES, place + one["name"]) if one["in"] == "query" else ():
                    query = f"{one['name']}={quote_plus(bad)}"
                    yield f"{place}?{query[:80]}", method, world.path(door), {"QUERY_STRING": query}
            content = operation.get("requestBody", {}).get("content", {})
            if "application/json" in content:
                schema = content["application/json"]["schema"]
                for where, body in bodies(spec, schema, right(world, door), place):
                    yield f"{place} {where}", method, world.path(door), {"data": body}


def bodies(
    spec: dict[str, Any], schema: dict[str, Any], known: dict[str, Any], place: str
) -> Iterator[tuple[str, bytes]]:
    for body in BODIES:
        yield repr(body[:20]), body
    least = example(schema, spec, is_whole=False) | known
    whole = example(schema, spec, is_whole=True)
    for trail in places(whole):
        text = with_garbage(least, whole, trail)
        for bad in some(VALUES, f"{place}{trail}"):
            yield f"{trail} = {bad[:40]}", text.replace(f'"{HERE}"', bad).encode()


def test_whatever_the_api_is_sent_it_does_not_break(redis_server):
    world = World()
    owner = world.clients()["owner"]
    broken, asked = [], 0
    for place, method, path, sent in requests(world):
        asked += 1
        headers = {"Authorization": f"Bearer {owner.token}"}
        whole = {"content_type": "application/json", "headers": headers} | sent
        if said := ask(Client(), method.upper(), path, **whole):
            broken.append(f"{place}: {said}")
    assert broken == []
    assert asked > 1000
