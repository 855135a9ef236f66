"""The consoles in the browser, and the grants that open them."""

import pytest
from playwright.sync_api import Page, expect
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from conftest import wait_for
from tests.journeys.conftest import BOOT_S, Site
from tests.people import Person

pytestmark = [pytest.mark.journeys, pytest.mark.qemu]

#: How many colours the screen's canvas shows, and a number that changes with its picture.
LOOK_AT_CANVAS = """() => {
  const canvas = document.querySelector("[data-console-stage] canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const pixels = new Uint32Array(data.buffer);
  let sum = 0;
  for (const pixel of pixels) sum = (sum * 31 + pixel) >>> 0;
  return { colours: new Set(pixels).size, sum };
}"""


def connected(page: Page) -> None:
    expect(page.locator("[data-console-status]")).to_have_text("Connected")


def terminal(page: Page) -> str:
    return page.locator(".xterm-rows").inner_text().replace("\u00a0", " ")


def see(page: Page, text: str) -> None:
    """Wait until the terminal shows this."""
    try:
        wait_for(lambda: text in terminal(page), within_s=20)
    except pytest.fail.Exception:
        pytest.fail(f"no {text!r} in this terminal:\n{terminal(page)}")


def websocket(person: Person, grant: str):
    name, value = person.cookie()
    return connect(
        person.url.replace("http", "ws") + "/console/ws/",
        origin=person.url,
        additional_headers={"Cookie": f"{name}={value}"},
        subprotocols=["portal.console", f"grant.{grant}"],
        open_timeout=20,
    )


def grant_for(person: Person, vm: str, kind: str = "serial") -> str:
    return str(person.post(f"/vms/{vm}/console/grant/", {"kind": kind}).json()["grant"])


def assert_refused(person: Person, grant: str) -> None:
    with pytest.raises(InvalidStatus) as refused, websocket(person, grant):
        pass
    assert refused.value.response.status_code == 403


def after_start(log: str) -> str:
    """What the guest printed when it was ready: its prompt is shown anew then."""
    return log.partition("portal-context: finished")[2]


@pytest.fixture
def vm(site: Site) -> str:
    cora = site.person("cora")
    vm = site.running(cora)
    wait_for(lambda: "login:" in after_start(cora.log(vm)), within_s=BOOT_S, every_s=0.2)
    return vm


def test_the_serial_line_shows_the_prompt_and_takes_what_is_typed_and_pasted(site: Site, vm: str):
    window = site.window(site.person("cora"))
    page = window.goto(f"/vms/{vm}/console/?kind=serial")
    connected(page)
    window.button("Type here").click()
    see(page, "login:")
    page.keyboard.type("root\n")
    see(page, "root@machine:~#")
    page.keyboard.type("echo typed-$((40+2))\n")
    see(page, "typed-42")

    window.button("Paste").click()
    page.get_by_label("Text").fill("echo pasted-$((50+2))\n")
    window.button("Type it").click()
    see(page, "pasted-52")
    window.shot("console-serial")

    page.keyboard.press("Control+Alt+Shift")
    expect(window.button("Release keyboard")).to_be_focused()
    page.get_by_role("link", name="Screen").click()
    connected(page)
    canvas = page.locator("[data-console-stage] canvas")
    expect(canvas).to_be_visible()
    wait_for(lambda: page.evaluate(LOOK_AT_CANVAS)["colours"] > 1, within_s=20)
    before = page.evaluate(LOOK_AT_CANVAS)["sum"]
    window.button("Type here").click()
    page.keyboard.type("root\necho on the screen\n")
    wait_for(lambda: page.evaluate(LOOK_AT_CANVAS)["sum"] != before, within_s=20)
    window.shot("console-screen")


def test_a_grant_opens_one_console_once_for_one_session(site: Site, vm: str):
    cora, other = site.person("cora"), site.person("otto")
    grant = grant_for(cora, vm)
    with websocket(cora, grant) as line:
        line.send("\r")
        received = b""
        while b"login" not in received:
            received += line.recv(timeout=20)
    assert_refused(cora, grant)
    assert_refused(other, grant_for(cora, vm))
    assert_refused(cora, "made-up")
