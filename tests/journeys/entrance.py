"""The way in, in a browser: registering, confirming, being validated, signing in."""

from playwright.sync_api import Locator, Page, expect

from conftest import wait_for
from tests import post
from tests.journeys.conftest import Site
from tests.journeys.windows import Window
from tests.people import PASSWORD
from tests.running import ADMIN

MESSAGE = "I count galaxies at the institute."


def sign_in(window: Window, username: str, password: str = PASSWORD) -> None:
    fill_in_sign_in(window, username, password)
    expect(window.page.get_by_role("heading", level=1)).to_contain_text("Hello")


def fill_in_sign_in(window: Window, username: str, password: str = PASSWORD) -> Page:
    """Send the sign-in form; what comes next is for the caller to look at."""
    page = window.goto("/login/")
    page.get_by_label("User name or e-mail address").fill(username)
    page.get_by_label("Password").fill(password)
    window.button("Sign in").click()
    return page


def register(window: Window, username: str) -> None:
    """Fill in the form and send it; a confirmation is on its way then."""
    page = window.goto("/register/")
    for label, value in {
        "Given name(s)": "Nora",
        "Family name": "New",
        "User name": username,
        "E-mail address": address_of(username),
        "Password, again": PASSWORD,
        "Message to the administrator": MESSAGE,
    }.items():
        page.get_by_label(label).fill(value)
    page.locator("[name=new_password]").fill(PASSWORD)
    page.get_by_label("I agree to the terms").check()
    window.shot("register")
    window.button("Register").click()
    expect(page).to_have_url(f"{page.url.partition('/register')[0]}/register/sent/")
    window.shot("register-sent")


def address_of(username: str) -> str:
    return f"{username}@example.org"


def confirm_address(site: Site, window: Window, username: str) -> None:
    """Follow the link in the mail and press its button."""
    mailed = wait_for(
        lambda: post.link(site.portal.home, address_of(username), "/register/confirm/")
    )
    window.goto(str(mailed))
    window.shot("confirm-address")
    window.button("This is my address").click()
    expect(window.page.get_by_role("heading", level=1)).to_contain_text("confirmed")


def administrator(site: Site) -> Window:
    """An administrator, signed in through the form."""
    window = site.window()
    sign_in(window, ADMIN, site.portal.admin_password)
    return window


def request_of(window: Window, username: str) -> Locator:
    """The row of somebody's request, in the queue."""
    window.goto("/registrations/")
    return window.page.get_by_role("row").filter(has_text=username)


def approve(site: Site, username: str) -> None:
    """An administrator reads the request, and lets the person in."""
    window = administrator(site)
    row = request_of(window, username)
    expect(row).to_contain_text(MESSAGE)
    window.shot("registrations")
    untouched = window.stay()
    row.get_by_role("button", name="Approve").first.click()
    expect(row.locator("[data-state-word]")).to_have_text("Active")
    untouched()
