"""Every page, empty and full, light and dark, wide and narrow: readable by everybody."""

from base64 import b64encode
from collections.abc import Iterable
from uuid import UUID, uuid4

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page, expect

from conftest import wait_for
from tests.journeys import windows
from tests.journeys.conftest import BOOT_S, Site
from tests.journeys.windows import Window
from tests.people import Person

pytestmark = [pytest.mark.journeys, pytest.mark.qemu]

WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
BAD = {"serious", "critical"}
#: The theme changes colours and nothing else.
COLOURS = {"resultTypes": ["violations"], "runOnly": {"type": "rule", "values": ["color-contrast"]}}
EVERYTHING = {"resultTypes": ["violations"]}
_PAINTED = "() => new Promise(go => requestAnimationFrame(() => requestAnimationFrame(go)))"
LONG = "Ein sehr langer Name ohne Ende " + "x" * 45


def complaints(page: Page, options: dict, where: str) -> Iterable[str]:
    """What axe finds; the page's own words for each place."""
    for violation in page.evaluate("options => axe.run(options)", options)["violations"]:
        if violation["impact"] in BAD:
            for node in violation["nodes"]:
                summary = " ".join(node["failureSummary"].split())
                yield f"{where}: {violation['id']}: {node['html'][:150]}: {summary}"


def look(window: Window, path: str, *, shot: str = "") -> list[str]:
    """Open a page once and look at it in four ways; what is wrong with it."""
    page = window.page
    page.set_viewport_size(WIDE)
    page.emulate_media(color_scheme="light")
    page.goto(path)
    page.evaluate(AXE_SCRIPT)
    wrong: list[str] = []
    for size in (WIDE, NARROW):
        page.set_viewport_size(size)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            theme = page.locator("html")
            expect(theme).to_have_attribute("data-bs-theme", scheme, timeout=20_000)
            page.evaluate(_PAINTED)
            where = f"{path} {size['width']} {scheme}"
            wrong += complaints(page, EVERYTHING if scheme == "light" else COLOURS, where)
            if shot:
                window.shot(f"{shot}-{size['width']}-{scheme}")
        beyond = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        if beyond > 0:
            wrong.append(f"{path} {size['width']}: {beyond} pixels wider than the window")
    return wrong


def look_at_all(window: Window, paths: dict[str, str]) -> None:
    wrong = [line for path, shot in paths.items() for line in look(window, path, shot=shot)]
    assert not wrong, "\n".join(wrong)


def anybody(site: Site, person: Person | None = None) -> Window:
    """A window that moves nothing by itself, so that colours stand still."""
    return site.window(person, reduced_motion="reduce")


def test_pages_for_visitors(site: Site):
    image = site.person("axel").image()
    look_at_all(
        anybody(site),
        {
            "/": "welcome",
            "/marketplace/": "",
            "/marketplace/?q=nothing-is-called-so": "",
            f"/marketplace/metadata/{image}/": "image",
            "/login/": "sign-in",
            "/register/": "",
            "/register/sent/": "",
            "/reset/": "",
            "/reset/sent/": "",
            "/policies/": "",
            "/help/": "help",
            "/there-is-no-such-page/": "",
        },
    )


def test_pages_of_somebody_who_has_nothing(site: Site):
    person = site.portal.member("neil")
    look_at_all(
        anybody(site, person),
        {
            "/": "home-empty",
            "/vms/": "machines-empty",
            "/vms/?q=nothing": "",
            f"/vms/launch/?image={person.image()}": "launch",
            "/vms/types/": "",
            "/profile/": "",
            "/profile/keys/": "",
            "/profile/tokens/": "tokens",
            "/groups/": "groups-empty",
            "/groups/new/": "",
            "/help/api/": "",
            "/profile/password/": "",
            "/profile/email/": "new-address",
            "/profile/security/": "security",
            "/profile/sessions/": "sessions",
            "/profile/usage/": "usage-empty",
            "/profile/quota/ask/": "ask",
            "/profile/activity/": "activity",
            "/policies/agree/": "agree",
        },
    )


def test_pages_of_somebody_who_is_not_let_in(site: Site):
    person = site.portal.person("wanja")
    person.register()
    person.sign_in()
    window = anybody(site, person)
    waiting = {"/register/standing/": "standing-waits", "/register/standing/correct/": "correct"}
    look_at_all(window, waiting)
    person.post("/register/standing/withdraw/")
    withdrawn = {"/register/standing/": "standing-withdrawn", "/register/standing/again/": ""}
    look_at_all(window, withdrawn)


def test_pages_of_somebody_with_machines(site: Site):
    owner = site.person("mia")
    done = site.running(owner, name="was here")
    owner.ask(done, "kill")
    halted = site.running(owner, name=LONG, user_data="#!/bin/sh\npoweroff\n")
    running = site.running(owner, name="Zażółć gęślą jaźń")
    site.until(halted, "unknown", within_s=BOOT_S)
    site.until(done, "done")
    wait_for(lambda: "login:" in owner.log(running), within_s=BOOT_S, every_s=0.2)
    look_at_all(
        anybody(site, owner),
        {
            "/": "home-full",
            "/vms/?state=all": "machines-full",
            f"/vms/{running}/": "machine-running",
            f"/vms/{halted}/": "machine-halted",
            f"/vms/{done}/": "",
            f"/vms/{running}/console/?kind=serial": "",
            f"/vms/{running}/console/?kind=screen": "",
            f"/vms/{halted}/console/": "",
            f"/vms/launch/?image={owner.image()}": "",
            "/profile/keys/": "",
            "/profile/usage/": "usage-full",
            "/profile/activity/": "activity-full",
        },
    )


def test_pages_of_somebody_without_disks(site: Site):
    person = site.portal.member("dilan")
    look_at_all(
        anybody(site, person),
        {
            "/volumes/": "disks-empty",
            "/volumes/?q=nothing": "",
            "/volumes/?tab=shared": "",
            "/volumes/?tab=public": "",
            "/volumes/new/": "disk-new",
            "/volumes/upload/": "disk-upload",
            "/volumes/fetch/": "disk-fetch",
            "/volumes/bin/": "bin-empty",
            "/volumes/offers/": "",
        },
    )


def make_disk(owner: Person, tag: str) -> str:
    """An empty disk of 1 GiB; its UUID."""
    fields = {"create_key": str(uuid4()), "size_gib": "1", "tag": tag, "visibility": "private"}
    answer = owner.post("/volumes/new/", fields)
    assert answer.status_code == 302, answer.text
    return answer.headers["location"].strip("/").rpartition("/")[2]


def disk_until(site: Site, disk: str, state: str) -> None:
    def now() -> bool:
        sql = "SELECT state FROM volumes_volume WHERE uuid = ?"
        return site.portal.rows(sql, UUID(disk).hex) == [(state,)]

    wait_for(now, within_s=60)


def send(owner: Person, name: str, said: int, content: bytes) -> str:
    """Upload a file that is ``said`` to be so long; the UUID of its disk."""
    headers = {
        "Tus-Resumable": "1.0.0",
        "Upload-Length": str(said),
        "Upload-Metadata": f"filename {b64encode(name.encode()).decode()}",
        "X-CSRFToken": owner.token(),
    }
    answer = owner.http.post("/volumes/uploads/", headers=headers)
    assert answer.status_code == 201, answer.text
    where = answer.headers["location"]
    more = {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    answer = owner.http.patch(where, headers=headers | more, content=content)
    assert answer.status_code == 204, answer.text
    return where.rpartition("/")[2]


def test_pages_of_somebody_with_disks(site: Site):
    owner, other = site.person("mia"), site.person("greta")
    vm = site.running(owner, name="holds disks", volatile="1")
    first, second, spare, gone, shown = (
        make_disk(owner, tag) for tag in ("data", "data", LONG[:40], "gone", "shown")
    )
    for disk in (first, second, spare, gone, shown):
        disk_until(site, disk, "available")
    owner.post(f"/vms/{vm}/disks/", {"disk": [first, second]})
    owner.post(f"/volumes/{gone}/delete/")
    owner.post(f"/volumes/{spare}/sharing/", {"username": other.username, "access": "read"})
    for name in ("before the storm", LONG[:40]):
        owner.post(f"/volumes/{spare}/snapshots/", {"name": name})
    owner.post(f"/volumes/{shown}/offer/", {"username": other.username})
    damaged = send(owner, "damaged.qcow2", 8, b"QFI\xfb\0\0\0\3")
    halfway = send(owner, "half-way.raw", 2 << 20, bytes(1 << 20))
    for disk, state in ((first, "in_use"), (second, "in_use"), (damaged, "failed")):
        disk_until(site, disk, state)
    window = anybody(site, owner)
    window.goto(f"/volumes/{first}/")
    expect(window.page.get_by_text("Attached", exact=True).first).to_be_visible(timeout=60_000)
    look_at_all(
        window,
        {
            "/volumes/": "disks",
            "/volumes/bin/": "bin",
            "/volumes/upload/": "disk-uploads",
            "/volumes/offers/": "offers",
            f"/volumes/{first}/": "disk-used",
            f"/volumes/{first}/copy/": "",
            f"/volumes/{first}/delete/": "",
            f"/volumes/{first}/attach/": "",
            f"/volumes/{halfway}/": "disk-uploading",
            f"/volumes/{damaged}/": "disk-failed",
            f"/volumes/{gone}/": "disk-binned",
            f"/volumes/{gone}/purge/": "",
            f"/volumes/{shown}/": "disk-offered",
            f"/volumes/{spare}/": "disk",
            f"/volumes/{spare}/attach/": "disk-attach",
            f"/volumes/{spare}/change/": "",
            f"/volumes/{spare}/copy/": "disk-copy",
            f"/volumes/{spare}/delete/": "disk-delete",
            f"/volumes/{spare}/downloads/": "disk-downloads",
            f"/volumes/{spare}/grow/": "",
            f"/volumes/{spare}/offer/": "",
            f"/volumes/{spare}/sharing/": "disk-sharing",
            f"/volumes/{spare}/snapshots/": "",
            f"/vms/{vm}/": "machine-disks",
            f"/vms/{vm}/disks/": "machine-attach",
            f"/vms/launch/?image={owner.image()}&disks={spare}": "launch-disks",
        },
    )
    look_at_all(
        anybody(site, other),
        {"/volumes/?tab=shared": "disks-shared", "/volumes/offers/": "", f"/volumes/{spare}/": ""},
    )
    owner.post(f"/volumes/{halfway}/cancel/")


def test_pages_of_somebody_with_a_group(site: Site):
    owner = site.person("greta")
    answer = owner.post("/groups/new/", {"name": LONG[:40], "description": "x" * 200})
    group = answer.headers["location"]
    owner.post(f"{group}invite/", {"whom": site.person("mia").username})
    owner.post(f"{group}invite/", {"whom": "somebody@" + "long-" * 12 + "example.org"})
    look_at_all(anybody(site, owner), {"/groups/": "groups", group: "group"})


def test_pages_of_administrators(site: Site):
    for number in range(3):
        site.portal.person(f"applicant_{number}").register(public_key=site.key.public)
    waiting = site.portal.account("applicant_0")
    asker = site.person("willa")
    asker.post("/profile/quota/ask/", {"machines": "8", "message": "The course is larger."})
    member = site.portal.account("willa")
    admin = site.administrator()
    mail = next(
        word.partition('"')[0]
        for word in admin.get("/mails/").text.split('href="')
        if word.startswith("/mails/2")  # the name of a mail begins with its year
    )
    look_at_all(
        anybody(site, admin),
        {
            "/": "",
            "/registrations/": "registrations-full",
            "/registrations/?state=rejected&q=nobody": "",
            f"/users/{waiting}/": "user-waits",
            f"/users/{member}/": "user",
            f"/users/{member}/close/": "close",
            "/users/": "users",
            "/usage/": "report",
            "/registrations/wishes/": "wishes",
            "/registrations/wishes/?state=declined": "",
            "/registrations/rules/": "rules",
            "/registrations/reasons/": "reasons",
            "/mails/": "mails",
            mail: "mail",
            "/mails/texts/": "mail-texts",
            "/mails/texts/activated/": "mail-text",
            "/mails/undelivered/": "",
            "/policies/versions/": "policies",
            "/policies/versions/new/": "",
            "/policies/versions/missing/": "",
            "/audit/": "audit",
            "/audit/?q=nobody": "",
            "/doctor/": "doctor",
            "/vms/": "",
            "/vms/types/": "",
            "/vms/types/new/": "",
            "/vms/types/m1.small/": "",
        },
    )


def test_pages_of_the_marketplace(site: Site):
    owner = site.person("mia")
    image = owner.image()
    sums = {"sha1": "5a" * 20, "sha256": "5b" * 32, "sha512": "5c" * 64}
    made = owner.post(
        "/marketplace/build/file/",
        {
            "create_key": str(uuid4()),
            "name": "a.img",
            "size_bytes": "1024",
            "format": "raw",
            **sums,
        },
    )
    draft = made.headers["location"]
    window = anybody(site, owner)
    look_at_all(
        window,
        {
            "/marketplace/": "catalogue",
            "/marketplace/?view=table&status=all": "catalogue-table",
            f"/marketplace/metadata/{image}": "entry",
            "/marketplace/endorsers": "endorsers",
            "/marketplace/upload": "metadata-upload",
            "/marketplace/build/": "build-ways",
            "/marketplace/build/?kind=disk": "build-data",
            "/marketplace/measure/": "measure",
            "/marketplace/drafts/": "drafts",
            draft: "draft-empty",
            f"{draft}sign/": "",
            "/marketplace/keys/": "signing-keys",
            "/vms/launch/": "launch-without",
        },
    )
    page = window.goto("/marketplace/upload")
    page.get_by_text("Paste a document").click()
    page.get_by_label("The whole document").fill("<rdf:RDF></oops>")
    expect(page.locator("main")).to_contain_text("not well-formed")
    window.shot("metadata-refused")


def test_pages_of_the_marketplaces_administrators(site: Site):
    admin = site.administrator()
    image = admin.image()
    window = anybody(site, admin)
    window.goto("/marketplace/sources/").get_by_role("link", name="Ubuntu").first.click()
    source = window.lands(f"/sources/{windows.UUID}/").removeprefix(site.portal.url)
    look_at_all(
        window,
        {
            f"/marketplace/metadata/{image}": "entry-administrator",
            "/marketplace/policy/": "image-policy",
            "/marketplace/sources/": "sources",
            "/marketplace/sources/new/": "",
            source: "source",
            "/marketplace/certificates/": "certificates",
        },
    )
