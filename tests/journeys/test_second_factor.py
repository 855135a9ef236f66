"""A second factor in a real browser: an app and its codes, passkeys, and sessions."""

import contextlib
import re
import sqlite3
import time
from typing import Any

import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from axe_playwright_python.base import AXE_SCRIPT
from django.contrib.sessions.serializers import JSONSerializer
from django.core import signing
from playwright.sync_api import Page, expect

from portal.secrets import secret_key
from tests.journeys.conftest import Site
from tests.journeys.test_looks import EVERYTHING, anybody, complaints, look_at_all
from tests.journeys.windows import Window
from tests.people import PASSWORD, Person

pytestmark = pytest.mark.journeys

HALF_MINUTE = 30


class App:
    """An authenticator app: it shows a code for each half minute, and none twice here."""

    def __init__(self, secret: str) -> None:
        self.secret = secret
        self._last = 0

    def code(self) -> str:
        """The next one that was not shown; the portal takes one that is early by one step."""
        self._last = max(self._last + 1, int(time.time()) // HALF_MINUTE)
        return str(format_hotp_value(hotp_value(self.secret, self._last)))


class Device:
    """Chromium's own authenticator: answers every question of WebAuthn in this tab."""

    def __init__(self, page: Page) -> None:
        self.session = page.context.new_cdp_session(page)
        self.session.send("WebAuthn.enable")
        options = {
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": True,
            "automaticPresenceSimulation": True,
        }
        made = self.session.send("WebAuthn.addVirtualAuthenticator", {"options": options})
        self.id = made["authenticatorId"]

    def credentials(self) -> list[dict[str, Any]]:
        found = self.session.send("WebAuthn.getCredentials", {"authenticatorId": self.id})
        return list(found["credentials"])


def by_name(site: Site) -> str:
    """The portal under a name: passkeys belong to one."""
    return f"http://localhost:{site.portal.port}"


def member(site: Site, username: str) -> Person:
    """Somebody with an account of their own for one journey."""
    return site.portal.member(username)


def give_password(window: Window, person: Person, *, at: str = "") -> None:
    page = window.page
    page.goto(f"{at}/login/")
    page.get_by_label("User name or e-mail address").fill(person.username)
    page.get_by_label("Password").fill(PASSWORD)
    window.click(window.button("Sign in"))


def sign_out(window: Window) -> None:
    window.click(window.page.get_by_role("button", name=re.compile("^Your account")))
    window.click(window.button("Sign out"))
    expect(window.link("Sign in").first).to_be_visible()


def set_up_app(window: Window) -> App:
    """From the page about security, as one does it; ends on the recovery codes."""
    page = window.page
    window.click(window.link("Set up an app"))
    picture = page.get_by_alt_text("The secret of your app")
    assert picture.evaluate("img => img.complete && img.naturalWidth > 0")
    app = App(page.locator(".copy-value").inner_text().replace(" ", ""))
    page.get_by_label("Code from the app").fill(app.code())
    window.click(window.button("Ask for codes from now on"))
    expect(page.get_by_role("heading", name="Recovery codes", level=1)).to_be_visible()
    return app


def reads_well(window: Window) -> None:
    window.page.evaluate(AXE_SCRIPT)
    wrong = list(complaints(window.page, EVERYTHING, window.page.url))
    assert not wrong, "\n".join(wrong)


def is_in(window: Window, person: Person) -> None:
    expect(
        window.page.get_by_role("button", name=f"Your account: {person.username}")
    ).to_be_visible()


def let_proofs_grow_old(site: Site) -> None:
    """Write into every session that whoever has it proved who they are an hour ago."""
    how = {
        "key": secret_key(site.portal.home),
        "salt": "django.contrib.sessions.SessionStore",
        "serializer": JSONSerializer,
    }
    path = site.portal.home / "portal.sqlite3"
    with contextlib.closing(sqlite3.connect(path, timeout=10)) as database, database:
        rows = database.execute("SELECT session_key, session_data FROM django_session").fetchall()
        for key, data in rows:
            session = signing.loads(data, **how)
            for proof in session.get("account_authentication_methods", []):
                proof["at"] -= 3600
            aged = (signing.dumps(session, **how), key)
            database.execute(
                "UPDATE django_session SET session_data = ? WHERE session_key = ?", aged
            )


def test_an_app_is_set_up_and_its_code_lets_in(site: Site):
    person = member(site, "tessa")
    window = site.window()
    page = window.page
    give_password(window, person)
    page.goto("/profile/security/")
    reads_well(window)
    app = set_up_app(window)
    reads_well(window)
    codes = [text.replace(" ", "") for text in page.locator(".codes code").all_inner_texts()]
    assert len(set(codes)) == 10
    with page.expect_download() as download:
        window.click(window.link("Download them"))
    saved = download.value.path().read_text()
    assert all(code in saved for code in codes)
    sign_out(window)

    give_password(window, person)
    expect(page.get_by_role("heading", name="Second step")).to_be_visible()
    reads_well(window)
    window.shot("second-step")
    page.get_by_label("Code").fill("123 456")
    window.click(window.button("Confirm with the code"))
    expect(page.get_by_text("This code is not right")).to_be_visible()
    reads_well(window)
    page.get_by_label("Code").fill(app.code())
    window.click(window.button("Confirm with the code"))
    is_in(window, person)
    sign_out(window)

    give_password(window, person)
    page.get_by_label("Code").fill(codes[0])
    window.click(window.button("Confirm with the code"))
    is_in(window, person)
    page.goto("/profile/security/")
    expect(page.get_by_text("9 are left.")).to_be_visible()
    sign_out(window)

    give_password(window, person)
    page.get_by_label("Code").fill(codes[0])
    window.click(window.button("Confirm with the code"))
    expect(page.get_by_text("it was used already")).to_be_visible()
    person.close()


def test_a_passkey_is_added_and_signs_in_without_a_password(site: Site):
    person = member(site, "petra")
    window = site.window()
    page = window.page
    device = Device(page)
    give_password(window, person, at=by_name(site))
    page.goto(f"{by_name(site)}/profile/security/")
    window.click(window.link("Add a passkey"))
    reads_well(window)
    page.get_by_label("Name").fill("This laptop")
    window.click(window.button("Add it"))
    expect(page.get_by_role("heading", name="Recovery codes", level=1)).to_be_visible()
    assert [key["isResidentCredential"] for key in device.credentials()] == [True]
    page.goto(f"{by_name(site)}/profile/security/")
    expect(page.get_by_role("row", name=re.compile("This laptop"))).to_contain_text(
        "instead of a password"
    )
    reads_well(window)
    window.shot("security-passkeys")

    window.click(window.link("Add a passkey"))
    window.click(window.button("Add it"))
    expect(page.get_by_text("This device has a passkey for you already")).to_be_visible()
    sign_out(window)

    page.goto(f"{by_name(site)}/login/?next=/profile/keys/")
    reads_well(window)
    window.shot("sign-in-passkey")
    window.click(window.button("Sign in with a passkey"))
    expect(page).to_have_url(f"{by_name(site)}/profile/keys/")
    is_in(window, person)
    sign_out(window)

    give_password(window, person, at=by_name(site))
    expect(page.get_by_role("heading", name="Second step")).to_be_visible()
    reads_well(window)
    window.click(window.button("Use a passkey"))
    is_in(window, person)

    page.goto(f"{by_name(site)}/profile/security/")
    row = page.get_by_role("row", name=re.compile("This laptop"))
    window.click(window.link("Rename This laptop"))
    page.get_by_label("Name").fill("Old laptop")
    window.click(window.button("Rename it"))
    row = page.get_by_role("row", name=re.compile("Old laptop"))
    window.click(window.button("Remove Old laptop", inside=row))
    window.confirm()
    expect(page.get_by_text("The passkey Old laptop is removed")).to_be_visible()
    sign_out(window)

    page.goto(f"{by_name(site)}/login/")
    window.click(window.button("Sign in with a passkey"))
    expect(page.get_by_text("The passkey's answer was not right")).to_be_visible()
    person.close()


def test_a_page_opened_by_its_number_says_that_passkeys_need_a_name(site: Site):
    person = member(site, "nadia")
    window = site.window()
    page = window.page
    give_password(window, person)
    page.goto("/profile/security/passkeys/add/")
    expect(page.get_by_text("Passkeys belong to the name of a site")).to_be_visible()
    expect(page.get_by_text(f"Open http://localhost:{site.portal.port} instead.")).to_be_visible()
    reads_well(window)
    window.shot("passkey-by-number")
    person.close()


def test_what_was_sent_is_done_after_one_has_confirmed(site: Site):
    person = member(site, "ruben")
    window = site.window()
    page = window.page
    give_password(window, person)
    page.goto("/profile/security/")
    app = set_up_app(window)
    window.click(window.link("Done"))
    let_proofs_grow_old(site)
    window.click(window.button("Remove the authenticator app"))
    window.confirm()
    expect(page.get_by_role("heading", name="Confirm that it is you")).to_be_visible()
    reads_well(window)
    window.shot("confirm-again")
    page.get_by_label("Code").fill(app.code())
    window.click(window.button("Confirm with the code"))
    expect(page.get_by_text("The authenticator app is removed")).to_be_visible()
    person.close()


def test_a_session_is_ended_from_another_browser(site: Site):
    person = member(site, "sonja")
    here, there = site.window(), site.window()
    for window in (here, there):
        give_password(window, person)
        is_in(window, person)
    page = here.goto("/profile/sessions/")
    expect(page.get_by_text("this one")).to_have_count(1)
    reads_well(here)
    here.click(here.button("End all others"))
    here.confirm()
    expect(page.get_by_text("This one goes on")).to_be_visible()
    there.goto("/profile/")
    expect(there.page).to_have_url(re.compile("/login/"))
    person.close()


def test_the_pages_look_right(site: Site):
    person = member(site, "lore")
    window = anybody(site)
    give_password(window, person)
    window.page.wait_for_url("**/")
    pages = {
        "/profile/security/": "security-empty",
        "/profile/security/app/": "security-app",
        "/profile/security/passkeys/add/": "security-passkey",
        "/profile/sessions/": "sessions",
    }
    look_at_all(window, pages)
    window.goto("/profile/security/")
    set_up_app(window)
    look_at_all(
        window,
        {"/profile/security/": "security-full", "/profile/security/codes/": "security-codes"},
    )
    person.close()
