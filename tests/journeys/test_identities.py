"""A journey through another site: a browser that follows its own policy on the way."""

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from registration.tests import providers
from registration.tests.providers import SAID, Provider, authlib_over_http
from tests.conftest import home_of_its_own
from tests.running import RunningPortal, running_portal

__all__ = ["authlib_over_http"]

pytestmark = [
    pytest.mark.journeys,
    # Of the provider's own library, in its thread.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture
def provider(authlib_over_http) -> Iterator[Provider]:
    with providers.running() as provider:
        provider.knows("jane", **SAID)
        yield provider


@pytest.fixture
def portal(provider: Provider) -> Iterator[RunningPortal]:
    entry = {
        "id": "lab",
        "name": "Lab ID",
        "issuer": provider.url,
        "client_id": "portal",
        "client_secret": "the-client-secret",
    }
    env = {"PORTAL_OIDC_PROVIDERS": json.dumps([entry])}
    with home_of_its_own() as home, running_portal(home, env=env) as portal:
        yield portal


def through_the_provider(page: Page, portal: RunningPortal, provider: Provider) -> None:
    """Press the button here, say who one is there, and come back."""
    page.goto(f"{portal.url}/login/")
    page.get_by_role("button", name="Sign in with Lab ID").click()
    page.wait_for_url(f"{provider.url}/**")
    page.locator("input[name=sub]").fill("jane")
    page.get_by_role("button").first.click()
    page.wait_for_url(f"{portal.url}/**")


def test_from_another_site_into_the_queue_and_in(
    browser: Browser, portal: RunningPortal, provider: Provider
):
    page = browser.new_page()
    through_the_provider(page, portal, provider)
    expect(page.get_by_role("heading", name="Register with Lab ID")).to_be_visible()
    expect(page.get_by_label("User name")).to_have_value("jane_doe")
    page.get_by_label("I agree to the terms").check()
    page.get_by_role("button", name="Register", exact=True).click()
    page.wait_for_url("**/register/standing/")

    boss = portal.administrator()
    assert "jane_doe" in boss.get("/registrations/").text
    boss.approve(portal.account("jane_doe"))

    through_the_provider(page, portal, provider)
    page.goto(f"{portal.url}/profile/")
    expect(page.get_by_role("heading", name="Jane Doe")).to_be_visible()
    assert "the-client-secret" not in portal.log_tail(10_000)
    boss.close()
    page.close()
