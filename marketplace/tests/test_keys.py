"""Keys that the portal keeps: made on request, sealed, ended, and never shown."""

from datetime import timedelta

import pytest
import time_machine
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.urls import reverse
from django.utils import timezone

from core.caller import Caller, called
from core.errors import Refused
from core.models import Event
from marketplace import actions
from marketplace.actions import keys
from marketplace.models import SigningKey
from registration import sealing
from registration.tests.factories import UserFactory

pytestmark = [pytest.mark.django_db, pytest.mark.slow]


@pytest.fixture
def ada():
    return UserFactory(
        username="ada", given_name="Ada", family_name="Lovelace", email="ada@example.org",
        email_confirmed_at=timezone.now(), state="active",
    )  # fmt: skip


def certificate_of(key: SigningKey) -> x509.Certificate:
    return x509.load_pem_x509_certificate(key.certificate.encode())


def test_the_site_makes_its_key_at_its_first_use_and_keeps_it(settings):
    settings.PORTAL_SITE_NAME = "Example Lab"
    key = actions.site_key()
    assert actions.site_key() == key
    certificate = certificate_of(key)
    certificate.verify_directly_issued_by(certificate)
    assert certificate.subject.rfc4514_string() == key.subject == "CN=Example Lab"
    basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert basic.ca
    assert certificate.public_key().key_size == 3072
    assert timedelta(days=3650) < key.not_after - timezone.now() < timedelta(days=3653)


def test_whoever_is_slower_gets_the_key_of_who_was_faster():
    first = actions.site_key()
    assert keys._new_site_key() == first
    assert SigningKey.objects.count() == 1


def test_a_site_key_that_has_expired_is_replaced():
    first = actions.site_key()
    with time_machine.travel(first.not_after + timedelta(days=1)):
        second = actions.site_key()
        assert second != first
        with pytest.raises(Refused, match="was ended"):
            actions.signer_of(SigningKey.objects.get(pk=first.pk))


def test_a_persons_certificate_says_whose_it_is_and_that_the_portal_keeps_the_key(ada, settings):
    settings.PORTAL_SITE_NAME = "Example Lab"
    key = actions.new_key(ada, ada)
    certificate = certificate_of(key)
    certificate.verify_directly_issued_by(certificate_of(actions.site_key()))
    assert key.subject == "CN=Ada Lovelace,OU=Key kept by the portal,O=Example Lab"
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.RFC822Name) == ["ada@example.org"]
    assert actions.key_of(ada) == key


def test_the_private_half_is_sealed_in_the_database(ada):
    key = actions.new_key(ada, ada)
    assert "PRIVATE" not in key.sealed
    private = load_pem_private_key(sealing.unseal(key.sealed).encode(), None)
    assert private.public_key() == certificate_of(key).public_key()
    assert actions.signer_of(key).certificate == certificate_of(key)
    for event in Event.objects.filter(kind="signing_key"):
        assert "PRIVATE" not in str(event.detail)


def test_a_new_key_ends_the_one_before_and_forgets_its_private_half(ada):
    first = actions.new_key(ada, ada)
    second = actions.new_key(ada, ada)
    first.refresh_from_db()
    assert first.ended_at
    assert (first.sealed, first.slot) == ("", None)
    assert actions.key_of(ada) == second
    with pytest.raises(Refused) as refused:
        actions.signer_of(first)
    assert refused.value.code == "key_ended"


def test_an_ended_key_signs_nothing_and_is_told_of(ada):
    key = actions.new_key(ada, ada)
    actions.end_key(key, by=ada)
    assert actions.key_of(ada) is None
    verbs = list(Event.objects.of(key.uuid).values_list("verb", flat=True))
    assert verbs == ["signing_key_made", "signing_key_ended"]


def test_a_key_needs_a_confirmed_address(ada):
    ada.email_confirmed_at = None
    with pytest.raises(Refused) as refused:
        actions.new_key(ada, ada)
    assert refused.value.code == "address_unconfirmed"


def test_nobody_makes_or_ends_a_key_in_anothers_name(ada):
    boss = UserFactory(is_staff=True, state="active", email_confirmed_at=timezone.now())
    with pytest.raises(Refused, match="Only ada"):
        actions.new_key(ada, boss)
    key = actions.new_key(ada, ada)
    with pytest.raises(Refused, match="Only ada"):
        actions.end_key(key, by=boss)
    acting = Caller(administrator=boss.pk, acts_as=ada.pk)
    with called(acting), pytest.raises(Refused) as refused:
        actions.new_key(ada, ada)
    assert refused.value.code == "acting"


def test_only_an_administrator_ends_the_sites_key(ada):
    key = actions.site_key()
    with pytest.raises(Refused):
        actions.end_key(key, by=ada)
    boss = UserFactory(is_staff=True, state="active")
    actions.end_key(key, by=boss)
    assert actions.site_key() != key


def test_former_certificates_of_the_site_are_handed_out_beside_the_new_one(client):
    former = actions.site_key()
    boss = UserFactory(is_staff=True, state="active")
    actions.end_key(former, by=boss)
    current = actions.site_key()
    answer = client.get(reverse("marketplace:site_certificates"))
    found = x509.load_pem_x509_certificates(answer.content)
    assert found == [certificate_of(current), certificate_of(former)]
    one = client.get(reverse("marketplace:site_certificate_of", args=[former.uuid]))
    assert one.content.decode() == former.certificate
    client.force_login(boss)
    page = client.get(reverse("marketplace:keys")).content.decode()
    assert reverse("marketplace:site_certificate_of", args=[former.uuid]) in page


def test_certificates_of_people_are_not_the_sites(client, ada):
    key = actions.new_key(ada, ada)
    answer = client.get(reverse("marketplace:site_certificate_of", args=[key.uuid]))
    assert answer.status_code == 404


def test_a_key_that_another_secret_sealed_says_what_to_do(ada, settings):
    key = actions.new_key(ada, ada)
    settings.SECRET_KEY = "another"
    settings.SECRET_KEY_FALLBACKS = []
    with pytest.raises(Refused) as refused:
        actions.signer_of(key)
    assert refused.value.code == "key_unreadable"


def test_names_are_in_certificates_as_they_are_seen(settings):
    """Documents with anything else in a name are refused, those of one's own too."""
    settings.PORTAL_SITE_NAME = "Strat\u200bus\u202e Lab"
    assert keys.site_key().subject == "CN=Strat us Lab"


def test_long_names_fit_into_certificates(ada, settings):
    settings.PORTAL_SITE_NAME = "A site with a very long name " * 5
    ada.given_name, ada.family_name = "Ada " * 25, "Lovelace"
    assert certificate_of(actions.new_key(ada, ada))
