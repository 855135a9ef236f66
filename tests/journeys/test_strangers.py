"""Journey 2: one person's machine does not exist for another, by any door."""

import json
import time

import pytest
from playwright.sync_api import expect
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.doors import doors
from tests.journeys.conftest import END_S, Site
from tests.journeys.test_console import assert_refused, grant_for
from tests.laws import matrix
from tests.people import Person

pytestmark = [pytest.mark.journeys, pytest.mark.qemu]


def machine_urls(admin: Person, vm: str) -> list[tuple[str, str, frozenset[str]]]:
    """Every URL of this machine: its name, its path, the methods that it takes."""

    def ask(method: str, path: str) -> str:
        answer = admin.http.request(method, path, headers={"X-CSRFToken": admin.token()})
        assert answer.status_code == 405, path
        return answer.headers["Allow"]

    machines = [door for door in doors() if door.route.startswith("vms/<uuid:key>")]
    assert len(machines) >= 10
    return [(door.name, door.path(key=vm), door.methods(ask)) for door in machines]


def test_a_strangers_machine_does_not_exist(site: Site):
    alice, bob = site.person("alice"), site.person("bob")
    vm = site.running(alice, name="alice's own")

    for _, path, methods in machine_urls(site.administrator(), vm):
        if "GET" in methods:
            assert bob.get(path).status_code == 404, path
        if "POST" in methods:
            assert bob.post(path, {"kind": "serial"}).status_code == 404, path
    for path in ("/", "/vms/", "/vms/?state=all", f"/vms/?q={vm}", "/vms/?q=alice"):
        assert f"/vms/{vm}/" not in bob.get(path).text
        assert "alice&#x27;s own" not in bob.get(path).text
    bob.post("/vms/bulk/", {"verb": "kill", "vm": vm})
    ((number,),) = site.portal.rows("SELECT id FROM vms_vm WHERE uuid = ?", vm.replace("-", ""))
    answer = bob.post("/vms/bulk/", {"verb": "kill", "ids": str(number)})
    assert "names a machine of yours" in bob.get(answer.headers["location"]).text

    assert_refused(bob, grant_for(alice, vm))
    assert_refused(bob, "")
    with pytest.raises(InvalidStatus), connect(bob.url.replace("http", "ws") + "/console/ws/"):
        pass
    assert site.portal.state(vm) == "running"

    window = site.window(bob)
    page = window.goto(f"/vms/{vm}/")
    expect(page.get_by_role("heading", level=1)).not_to_contain_text("alice")
    window.shot("not-found")


def heard(listener: Person, *, until: str, since_ms: int) -> set[str]:
    """The machines that the live stream names, up to ``until``."""
    seen: set[str] = set()
    with listener.http.stream("GET", "/live/", params={"since": f"{since_ms}-0"}) as stream:
        for line in stream.iter_lines():
            if line.startswith("data: ") and "uuid" in line:
                seen.add(json.loads(line.removeprefix("data: "))["uuid"])
            if until in seen:
                return seen
    return seen


def test_the_stream_tells_a_stranger_nothing_and_an_administrator_everything(site: Site):
    alice, bob, admin = site.person("alice"), site.person("bob"), site.administrator()
    since_ms = int(time.time() * 1000)
    hers = site.running(alice)
    alice.ask(hers, "kill")
    his = site.running(bob)
    assert heard(bob, until=his, since_ms=since_ms) == {his}
    assert {hers, his} <= heard(admin, until=his, since_ms=since_ms)
    assert site.portal.person("nobody").get("/live/").status_code == 403


def test_an_administrator_sees_opens_and_kills_it_and_is_audited(site: Site):
    alice, admin = site.person("alice"), site.administrator()
    vm = site.running(alice, name="watched over", exact=True)
    rules = matrix.every_line()
    for name, path, methods in machine_urls(admin, vm):
        if "GET" in methods:
            is_open = rules[name, "GET"].answers["administrator"] == "open"
            assert admin.get(path).status_code == (200 if is_open else 404), path
    assert grant_for(admin, vm)

    window = site.window(admin)
    page = window.goto("/vms/")
    row = page.locator(f"#vm-{vm}")
    expect(row).to_contain_text("alice")
    row.get_by_role("link", name="watched over", exact=True).click()
    window.button("Kill").click()
    window.confirm()
    window.state("Done", within_s=END_S)
    expect(page.locator("#machine")).to_contain_text("administrator admin")
    page.goto(f"/audit/?q={vm}")
    told = page.get_by_role("list", name="Events").get_by_role("listitem")
    expect(told.filter(has_text="admin killed machine watched over")).to_have_count(1)
    window.shot("audit")
