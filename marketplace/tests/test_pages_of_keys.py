"""Pages of keys, and of what may be done to an entry."""

import pytest
from django.urls import reverse

from marketplace import actions
from marketplace.models import Entry
from marketplace.tests.drafting import ada, endorser, page, places
from marketplace.tests.test_endorsing import publish
from registration.tests.factories import UserFactory
from registration.tests.proving import proved

__all__ = ["ada", "page", "places"]
pytestmark = [
    pytest.mark.django_db,
    pytest.mark.slow,
    pytest.mark.usefixtures("quick_keys"),
]


# Keys and entries -----------------------------------------------------------------------


def test_a_key_is_made_on_request_after_a_proof(page, ada):
    answer = page.post(reverse("marketplace:new_key"))
    assert answer.url.startswith(reverse("account_reauthenticate"))
    proved(page, ada)
    answer = page.post(reverse("marketplace:new_key"), {"next": reverse("marketplace:drafts")})
    assert answer.url == reverse("marketplace:drafts")
    key = actions.key_of(ada)
    shown = page.get(reverse("marketplace:keys")).content.decode()
    assert key.fingerprint in shown
    assert "PRIVATE" not in shown
    assert key.sealed not in shown
    pem = page.get(reverse("marketplace:key_certificate", args=[key.uuid]))
    assert pem.content.decode() == key.certificate
    page.post(reverse("marketplace:end_key", args=[key.uuid]))
    assert actions.key_of(ada) is None


def test_a_certificate_of_another_person_is_not_there(page, ada):
    bob = endorser("bob")
    key = actions.new_key(bob, bob)
    assert page.get(reverse("marketplace:key_certificate", args=[key.uuid])).status_code == 404
    proved(page, ada)
    assert page.post(reverse("marketplace:end_key", args=[key.uuid])).status_code == 404


def test_the_sites_certificate_is_everybodys(client):
    answer = client.get(reverse("marketplace:site_certificate"))
    assert answer.content.startswith(b"-----BEGIN CERTIFICATE-----")
    assert "PRIVATE" not in answer.content.decode()


def test_the_sites_key_is_ended_by_administrators(page, client):
    first = actions.site_key()
    there = reverse("marketplace:end_site")
    assert page.post(there).status_code == 404
    boss = UserFactory(admin=True)
    client.force_login(boss)
    proved(client, boss)
    client.post(there)
    assert actions.site_key() != first


@pytest.mark.parametrize("name", ["deprecate", "extend", "endorse", "readers"])
def test_pages_about_an_entry_open_for_whom_they_are(page, ada, name):
    actions.new_key(ada, ada)
    entry = publish(ada)
    assert page.get(reverse(f"marketplace:{name}", args=[entry.uuid])).status_code == 200


def test_nobody_deprecates_without_a_word_of_their_own(page, ada):
    actions.new_key(ada, ada)
    entry = publish(ada)
    address = reverse("marketplace:deprecate", args=[entry.uuid])
    assert page.get(address).context["form"]["reason"].value() is None
    answer = page.post(address, {"reason": " ", "sign_with": "portal"})
    assert (answer.status_code, Entry.objects.count()) == (422, 1)


def test_an_entry_is_deprecated_extended_and_endorsed_on_pages(page, ada, client):
    actions.new_key(ada, ada)
    entry = publish(ada)
    there = reverse("marketplace:extend", args=[entry.uuid])
    day = page.get(there).context["form"]["valid"].value()
    page.post(there, {"valid": day.isoformat(), "sign_with": "portal"})
    longer = Entry.objects.get(is_latest=True)
    assert longer.valid_until.date() == day

    bob = endorser("bob")
    actions.new_key(bob, bob)
    client.force_login(bob)
    there = reverse("marketplace:endorse", args=[longer.uuid])
    client.post(there, {"valid": day.isoformat(), "sign_with": "portal"})
    assert Entry.objects.filter(endorser_email=bob.email).exists()
    there = reverse("marketplace:deprecate", args=[longer.uuid])
    assert client.post(there, {"reason": "No.", "sign_with": "portal"}).url == longer.permalink
    assert not Entry.objects.exclude(deprecated="").exists()

    client.force_login(ada)
    answer = client.post(there, {"reason": "", "sign_with": "portal"})
    assert answer.status_code == 422
    answer = client.post(there, {"reason": "A hole.", "sign_with": "portal"})
    over = Entry.objects.get(deprecated="A hole.")
    assert answer.url == over.permalink


def test_the_measuring_page_is_everybodys(client):
    answer = client.get(reverse("marketplace:measure"))
    assert answer.status_code == 200
    assert "worker-src 'self'" in answer.headers["Content-Security-Policy"]
