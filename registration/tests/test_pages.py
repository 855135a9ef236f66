import re
import uuid

import pytest
from django.test import Client
from django.urls import reverse

from registration import actions, emails
from registration.models import SshKey
from registration.states import AccountState
from registration.tests.factories import SshKeyFactory, UserFactory
from registration.tests.test_keys import GOOD

pytestmark = pytest.mark.django_db

FETCH = {"X-Requested-With": "fetch"}


STAFF_PAGES = ["/registrations/", "/mails/"]


@pytest.mark.parametrize("url", STAFF_PAGES)
def test_pages_for_administrators_do_not_exist_for_others(url, client, alice, signed_in):
    assert client.get(url).url == f"/login/?next={url}"
    assert signed_in(alice).get(url).status_code == 404


@pytest.mark.parametrize("name", ["person", "row", "quota"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_a_persons_record_does_not_exist_for_others(name, method, client, alice, signed_in):
    url = reverse(f"registration:{name}", args=[alice.uuid])
    assert getattr(client, method)(url).status_code == 302
    assert getattr(signed_in(alice), method)(url).status_code == 404


@pytest.mark.parametrize("verb", ["approve", "reject", "reconsider"])
def test_nobody_decides_but_administrators_and_nobody_by_get(verb, client, alice, admin, signed_in):
    person = UserFactory(applied=True)
    url = reverse("registration:decide", args=[person.uuid, verb])
    assert client.post(url).status_code == 302
    assert signed_in(alice).post(url, {"reason": "No."}).status_code == 404
    assert signed_in(admin).get(url).status_code == 405
    person.refresh_from_db()
    assert person.state == AccountState.APPLIED


def test_a_decision_needs_a_csrf_token(admin):
    person = UserFactory(applied=True)
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin)
    url = reverse("registration:decide", args=[person.uuid, "approve"])
    assert client.post(url).status_code == 403


def test_who_waits_comes_first_the_longest_first(admin, signed_in):
    UserFactory(username="active")
    UserFactory(username="first", applied=True)
    UserFactory(username="second", applied=True)
    page = signed_in(admin).get("/registrations/").context["page"]
    assert [user.username for user in page.object_list][:2] == ["first", "second"]


def test_a_row_tells_what_an_administrator_needs(admin, signed_in):
    UserFactory(username="carla", email="carla@lab.example", rejected=True)
    UserFactory(
        username="carla",
        email="carla@lab.example",
        message="Galaxies & <script>",
        x500_dn="CN=Carla",
        applied=True,
    )
    page = signed_in(admin).get("/registrations/?state=applied").text
    assert "carla@lab.example" in page
    assert "Galaxies &amp; &lt;script&gt;" in page
    assert "CN=Carla" in page
    assert "Asked before" in page
    assert "We do not know you." in page


@pytest.mark.parametrize("state", AccountState)
def test_the_queue_is_filtered_and_searched(admin, signed_in, state):
    for each in AccountState:
        UserFactory(username=f"zoe_{each.value}", state=each)
    client = signed_in(admin)
    page = client.get("/registrations/", {"state": state, "q": "zoe jane"}).context["page"]
    assert [user.username for user in page.object_list] == [f"zoe_{state.value}"]
    empty = client.get("/registrations/", {"state": state, "q": "nobody"})
    assert "No registrations match" in empty.text


def test_a_search_for_nobody_on_a_page_that_is_not_there_finds_nothing(admin, signed_in):
    answer = signed_in(admin).get("/registrations/", {"q": "nobody", "page": "-7"})
    assert "No registrations match" in answer.text


def test_an_empty_queue_says_so(admin, signed_in):
    assert "Nobody is waiting" in signed_in(admin).get("/registrations/?state=applied").text


def test_the_queue_costs_the_same_queries_for_twenty_as_for_two(
    admin, signed_in, django_assert_max_num_queries
):
    client = signed_in(admin)
    UserFactory.create_batch(2, applied=True)
    with django_assert_max_num_queries(11) as few:
        client.get("/registrations/")
    for number in range(18):
        user = UserFactory(applied=True, email=f"twin{number}@example.org")
        actions.reject(user, by=admin, reason="No.")
        UserFactory(applied=True, email=f"twin{number}@example.org")
    with django_assert_max_num_queries(11) as many:
        client.get("/registrations/")
    assert len(few) == len(many)


def test_the_queue_has_pages(admin, signed_in):
    UserFactory.create_batch(30, applied=True)
    second = signed_in(admin).get("/registrations/?page=2&state=applied")
    assert len(second.context["page"].object_list) == 5


def test_an_administrator_approves_in_place(admin, signed_in):
    person = UserFactory(applied=True)
    url = reverse("registration:decide", args=[person.uuid, "approve"])
    answer = signed_in(admin).post(url, headers=FETCH)
    assert answer.status_code == 200
    assert answer.text.count("<tr") == 1
    assert 'data-state="active"' in answer.text
    assert "boss" in answer.text


def test_without_script_a_decision_leads_back_to_the_queue(admin, signed_in):
    person = UserFactory(applied=True)
    client = signed_in(admin)
    url = reverse("registration:decide", args=[person.uuid, "reject"])
    answer = client.post(url, {"reason": ""}, follow=True)
    assert answer.redirect_chain == [("/registrations/", 302)]
    assert "Write why, in a sentence" in answer.text


def test_a_rejection_without_a_reason_is_refused_in_place(admin, signed_in):
    person = UserFactory(applied=True)
    url = reverse("registration:decide", args=[person.uuid, "reject"])
    answer = signed_in(admin).post(url, {"reason": " "}, headers=FETCH)
    assert answer.status_code == 422
    assert "Write why, in a sentence" in answer.text
    long = signed_in(admin).post(url, {"reason": "long " * 200}, headers=FETCH)
    assert "long long" in long.text


def test_a_rejection_is_undone_in_place(admin, signed_in):
    person = UserFactory(rejected=True)
    url = reverse("registration:decide", args=[person.uuid, "reconsider"])
    answer = signed_in(admin).post(url, headers=FETCH)
    assert 'data-state="applied"' in answer.text


def test_a_verb_that_does_not_exist_is_a_404(admin, signed_in, alice):
    client = signed_in(admin)
    assert client.post(f"/registrations/{alice.uuid}/promote/").status_code == 404
    assert client.post(f"/registrations/{uuid.uuid4()}/approve/").status_code == 404


def test_the_record_of_a_person_shows_history_and_sets_the_quota(admin, alice, signed_in):
    client = signed_in(admin)
    actions.add_key(owner=alice, text=GOOD[0])
    url = reverse("registration:quota", args=[alice.uuid])
    answer = client.post(url, {"machines": "2", "vcpus": "", "memory_mib": "1024"}, follow=True)
    assert "quota set" in answer.text
    assert "SHA256:" in answer.text
    alice.refresh_from_db()
    assert (alice.quota_machines, alice.quota_vcpus, alice.quota_memory_mib) == (2, None, 1024)
    refused = client.post(url, {"machines": "-1"})
    assert refused.status_code == 422
    too_large = client.post(url, {"machines": 10**12})
    assert too_large.status_code == 422


def test_keys_are_added_chosen_and_removed(alice, signed_in):
    client = signed_in(alice)
    assert "You have no SSH key here yet" in client.get("/profile/keys/").text
    for text in GOOD[:2]:
        client.post("/profile/keys/add/", {"public_key": text, "name": text[:11]})
    first, second = SshKey.objects.order_by("pk")
    client.post(f"/profile/keys/{second.uuid}/default/")
    assert SshKey.objects.get(is_default=True) == second
    client.post(f"/profile/keys/{second.uuid}/remove/")
    assert list(SshKey.objects.all()) == [first]
    page = client.get("/profile/keys/").text
    assert first.fingerprint in page


def test_a_refused_key_is_told_beside_the_field_and_not_lost(alice, signed_in):
    answer = signed_in(alice).post("/profile/keys/add/", {"public_key": "ssh-ed25519 AAAA mine"})
    assert answer.status_code == 422
    assert "not a whole public key" in answer.text
    assert "ssh-ed25519 AAAA mine" in answer.text


def test_adding_a_key_leads_back_to_where_it_was_needed(alice, signed_in):
    form = {"public_key": GOOD[0], "next": "/vms/launch/?image=abc"}
    assert signed_in(alice).post("/profile/keys/add/", form).url == "/vms/launch/?image=abc"


@pytest.mark.parametrize("act", ["default", "remove"])
def test_another_persons_key_does_not_exist(act, alice, admin, signed_in):
    key = SshKeyFactory()
    for who in (alice, admin):
        answer = signed_in(who).post(f"/profile/keys/{key.uuid}/{act}/")
        assert answer.status_code == 404
    assert SshKey.objects.filter(pk=key.pk, is_default=False).exists()


def test_mails_in_files_are_shown_to_administrators(settings, tmp_path, posted, admin, signed_in):
    settings.EMAIL_BACKEND = "registration.filebased.EmailBackend"
    settings.EMAIL_FILE_PATH = tmp_path
    client = signed_in(admin)
    assert "No mail was written yet" in client.get("/mails/").text
    with posted():
        emails.rejected(UserFactory(rejected=True, reason="<script>alert(1)</script>"))
    page = client.get("/mails/")
    url = re.search(r"/mails/[0-9a-f]+/", page.text)[0]
    mail = client.get(url).text
    assert "&lt;script&gt;alert(1)" in mail
    assert "<script>alert" not in mail
    assert client.get("/mails/unknown/").status_code == 404
    assert client.get("/mails/../../etc/passwd").status_code == 404


def test_with_a_mail_server_there_is_no_mail_page(admin, signed_in):
    assert signed_in(admin).get("/mails/").status_code == 404
    assert signed_in(admin).get("/mails/anything/").status_code == 404
