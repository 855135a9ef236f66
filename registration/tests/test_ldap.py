import re
import socket
import time

import pytest
from django.test import Client

from core.errors import Refused
from core.models import Event
from registration import actions
from registration.identities import directory
from registration.models import ApprovalRule, User
from registration.states import AccountState
from registration.tests.factories import PASSWORD as LOCAL
from registration.tests.factories import UserFactory
from registration.tests.slapd import ACCESS, PASSWORD, USERS, change, running_slapd, server

__all__ = ["change", "running_slapd", "server"]

pytestmark = [pytest.mark.django_db, pytest.mark.slow]


def enter(login: str, password: str = PASSWORD) -> User:
    return actions.sign_in(login=login, password=password, address="192.0.2.1")


def refused(login: str, password: str = PASSWORD) -> str:
    with pytest.raises(Refused) as caught:
        enter(login, password)
    return caught.value.code


# The first time --------------------------------------------------------------------------


def test_a_person_of_the_directory_gets_an_account_that_waits(server, posted, admin):
    server.add("alice")
    with posted() as mails:
        user = enter("alice")
    assert (user.username, user.email) == ("alice", "alice@example.org")
    assert (user.given_name, user.family_name) == ("Alice", "Liddell")
    assert (user.state, user.source) == (AccountState.CONFIRMED, "ldap")
    assert user.email_confirmed_at is not None
    assert not user.has_usable_password()
    assert list(User.objects.waiting()) == [user]
    assert sorted(mail.to[0] for mail in mails) == ["alice@example.org", "boss@example.org"]
    assert Event.objects.filter(subject=user.uuid, verb="registered").exists()


def test_the_page_tells_them_where_they_stand(server, client):
    server.add("alice")
    answer = client.post("/login/", {"login": "alice", "password": PASSWORD})
    assert answer.url == "/register/standing/"
    assert client.get("/register/standing/").status_code == 200
    assert client.get("/profile/").status_code == 302


def test_once_let_in_they_agree_to_the_policies_and_go_on(server, client, admin):
    server.add("alice")
    actions.approve(enter("alice"), by=admin)
    answer = client.post("/login/", {"login": "Alice", "password": PASSWORD})
    assert answer.url == "/"
    assert client.get("/profile/").url.startswith("/policies/agree/")
    assert User.objects.count() == 2


def test_a_rule_lets_them_in_at_once(server, admin):
    ApprovalRule.objects.create(pattern="example.org", created_by=admin)
    server.add("alice")
    assert enter("alice").is_active


def test_an_address_signs_in_if_the_filter_says_so(server, change):
    server.add("alice")
    assert refused("alice@example.org") == "credentials"
    change(user_filter="(|(uid=%(user)s)(mail=%(user)s))")
    assert enter("alice@example.org").username == "alice"


def test_an_address_signs_in_whom_the_portal_knows(server):
    server.add("alice")
    user = enter("alice")
    assert enter("alice@example.org") == user


@pytest.mark.parametrize(
    ("attributes", "word"),
    [
        ({"mail": []}, "mail"),
        ({"mail": ["not an address"]}, "mail"),
        ({"givenName": []}, "givenName"),
        ({"uid": ["jean", "jean2"]}, "uid"),
    ],
)
def test_what_the_directory_lacks_is_named(server, attributes, word):
    server.add("jean", **attributes)
    with pytest.raises(Refused, match=word) as caught:
        enter("jean")
    assert caught.value.code == "directory_incomplete"
    assert not User.objects.exists()


def test_a_name_that_our_rule_forbids_is_refused_in_words(server):
    server.add("jean.dupont")
    with pytest.raises(Refused, match="3 to 20") as caught:
        enter("jean.dupont")
    assert caught.value.code == "directory_incomplete"


def test_another_attribute_may_be_the_user_name(server, change):
    server.add("jean.dupont", employeeNumber=["jdupont"])
    change(attributes=directory.ATTRIBUTES | {"username": "employeeNumber"})
    assert enter("jean.dupont").username == "jdupont"


def test_the_directorys_own_id_opens_the_account_and_no_name(server, admin):
    server.add("mallory")
    server.add("victim")
    mallory = enter("mallory")
    assert mallory.source_id.startswith("entryUUID=")
    User.objects.filter(pk=mallory.pk).update(username="victim")
    assert refused("victim") == "directory_name_taken"
    assert enter("mallory") == mallory
    actions.prove_password(mallory, PASSWORD)
    User.objects.filter(pk=mallory.pk).update(username="mallory")
    assert enter("victim") != mallory


def test_a_name_that_is_given_to_somebody_else_opens_no_old_account(server, admin):
    server.add("alice")
    old = enter("alice")
    actions.approve(old, by=admin)
    server.remove(f"uid=alice,{USERS}")
    server.add("alice", mail=["new@example.org"])
    assert refused("alice") == "directory_name_taken"
    with pytest.raises(Refused) as caught:
        actions.prove_password(old, PASSWORD)
    assert caught.value.code == "password_wrong"


def test_who_is_called_otherwise_in_the_directory_keeps_the_account(server):
    server.add("alice")
    user = enter("alice")
    server.rename(f"uid=alice,{USERS}", "uid=alicia")
    assert enter("alicia") == user
    user.refresh_from_db()
    assert user.username == "alice"
    actions.prove_password(user, PASSWORD)
    assert enter("alice@example.org") == user
    assert refused("alice") == "credentials"


def test_a_directory_without_ids_is_known_by_its_dns(server, monkeypatch, alice):
    monkeypatch.setattr(directory, "IDS", ())
    server.add("carol")
    user = enter("carol")
    assert user.source_id == f"dn=uid=carol,{USERS}"
    assert enter("carol") == enter("carol@example.org") == user
    actions.prove_password(user, PASSWORD)
    server.remove(f"uid=carol,{USERS}")
    assert refused("carol@example.org") == "credentials"


def test_an_account_that_is_known_by_its_dn_gets_its_id_once_we_may_read_it(server, monkeypatch):
    server.add("carol")
    with monkeypatch.context() as blind:
        blind.setattr(directory, "IDS", ())
        user = enter("carol")
    assert enter("carol") == user
    user.refresh_from_db()
    assert user.source_id.startswith("entryUUID=")


def test_an_account_from_before_ids_were_kept_gets_its_id(server):
    server.add("alice")
    old = UserFactory(username="alice", confirmed=True, source="ldap")
    assert enter("alice") == old
    old.refresh_from_db()
    assert old.source_id.startswith("entryUUID=")
    assert Event.objects.filter(subject=old.uuid, verb="directory_known").exists()


def test_an_account_that_was_renamed_here_gets_nobodys_id(server):
    server.add("victim")
    old = UserFactory(username="victim", confirmed=True, source="ldap", email="m@example.org")
    old.record_event("request_corrected", after={"username": "victim"})
    assert refused("victim") == "directory_name_taken"
    old.refresh_from_db()
    assert old.source_id == ""


def test_a_reserved_name_is_refused_in_words(server):
    server.add("root")
    with pytest.raises(Refused, match="is reserved for the site") as caught:
        enter("root")
    assert caught.value.code == "directory_incomplete"


# Wrong, unknown, hostile -----------------------------------------------------------------


def test_a_wrong_password_and_an_unknown_name_get_the_same_answer(server):
    server.add("alice")
    sentences = set()
    for login, password in (("alice", "wrong"), ("nobody", PASSWORD)):
        with pytest.raises(Refused) as caught:
            enter(login, password)
        sentences.add((caught.value.code, str(caught.value)))
    assert len(sentences) == 1
    assert not User.objects.exists()


def test_no_password_is_a_wrong_one(server):
    server.add("alice")
    assert directory.look_up("alice", "") is None
    assert refused("alice", "") == "credentials"


def test_an_entry_without_a_password_lets_nobody_in(server):
    server.add("alice", userPassword=[])
    assert refused("alice") == "credentials"


@pytest.mark.parametrize(
    "login", ["*", "a*", "alice)(uid=*", "*)(|(uid=*", "alice\\2a", "alice\0", "(", "\\"]
)
def test_a_login_is_never_a_filter(server, login):
    server.add("alice")
    assert directory.look_up(login, PASSWORD) is None


def test_a_name_of_the_filters_own_letters_is_found(server, change):
    server.add("al*(ice)\\", employeeNumber=["alice"])
    change(attributes=directory.ATTRIBUTES | {"username": "employeeNumber", "email": "mail"})
    entry = directory.look_up("al*(ice)\\", PASSWORD)
    assert entry is not None
    assert entry.username == "alice"


def test_two_entries_of_one_name_let_nobody_in(server):
    server.add("alice")
    server.add("alice2", uid=["alice2", "alice"])
    assert refused("alice") == "credentials"


def test_guessing_is_stopped_as_ever(server):
    server.add("alice")
    codes = [refused("alice", "wrong") for _ in range(12)]
    assert codes[-1] == "too_many_attempts"
    assert refused("alice") == "too_many_attempts"


# Accounts that are not the directory's ---------------------------------------------------


def test_a_local_account_of_the_same_name_is_not_taken_over(server, alice):
    server.add("alice", mail=["other@example.org"])
    with pytest.raises(Refused, match="not touched") as caught:
        enter("alice")
    assert caught.value.code == "directory_name_taken"
    assert enter("alice", LOCAL) == alice
    alice.refresh_from_db()
    assert (alice.source, User.objects.count()) == ("", 1)


def test_a_local_account_of_the_same_address_is_not_taken_over(server):
    bob = UserFactory(username="bob", email="ALICE@example.org")
    server.add("alice")
    assert refused("alice") == "directory_email_taken"
    assert list(User.objects.all()) == [bob]


def test_a_rejected_request_keeps_the_name_from_nobody(server):
    UserFactory(username="alice", rejected=True)
    server.add("alice")
    assert enter("alice").source == "ldap"


def test_local_accounts_sign_in_as_ever(server, alice):
    assert enter("alice", LOCAL) == alice


# Later -----------------------------------------------------------------------------------


@pytest.fixture
def person(server, admin, posted) -> User:
    """Somebody from the directory who was let in."""
    server.add("carol")
    with posted():
        user = enter("carol")
        actions.approve(user, by=admin)
    return user


DN = f"uid=carol,{USERS}"


def test_what_changes_in_the_directory_changes_here(server, person, posted):
    server.change(DN, sn=["Hargreaves"], mail=["carol@new.example.org"])
    with posted() as mails:
        user = enter("carol")
    assert (user.family_name, user.email) == ("Hargreaves", "carol@new.example.org")
    person.refresh_from_db()
    assert person.email == "carol@new.example.org"
    event = Event.objects.get(subject=person.uuid, verb="profile_changed")
    assert event.detail["before"] == {"family_name": "Liddell", "email": "carol@example.org"}
    assert {mail.to[0] for mail in mails} == {"carol@example.org", "carol@new.example.org"}


def test_one_of_several_addresses_stays(server, person):
    server.change(DN, mail=["first@example.org", "carol@example.org"])
    assert enter("carol").email == "carol@example.org"


def test_an_address_of_somebody_else_is_not_taken_over(server, person, alice):
    server.change(DN, sn=["Hargreaves"], mail=[alice.email])
    user = enter("carol")
    assert (user.family_name, user.email) == ("Hargreaves", "carol@example.org")


def test_who_is_removed_from_the_directory_stays_out(server, person):
    server.remove(DN)
    assert refused("carol") == "credentials"


def test_a_new_password_there_is_the_password_here(server, person):
    server.change(DN, userPassword=["a new one of the directory"])
    assert refused("carol") == "credentials"
    assert enter("carol", "a new one of the directory") == person


def test_a_suspended_or_closed_person_is_told_so(server, person, admin):
    actions.suspend(person, by=admin, reason="Spam.")
    assert enter("carol").state == AccountState.SUSPENDED
    person.refresh_from_db()
    actions.close(person, by=admin, reason="The end.")
    assert refused("carol") == "account_closed"


def test_without_the_directory_its_people_stay_out(server, person, settings):
    settings.PORTAL_LDAP = None
    assert refused("carol") == "credentials"


def test_the_group_that_is_asked_for_decides(server, person, change):
    change(group=ACCESS)
    assert refused("carol") == "credentials"
    server.let_in(f"uid=other,{USERS}")
    server.let_in(DN)  # not the first: every member counts
    assert enter("carol") == person


def test_a_password_is_proved_to_the_directory(server, person):
    actions.prove_password(person, PASSWORD)
    with pytest.raises(Refused) as caught:
        actions.prove_password(person, "wrong")
    assert caught.value.code == "password_wrong"


def test_the_portal_has_no_password_to_change_or_reset(server, person, posted):
    with pytest.raises(Refused, match="the lab's directory") as caught:
        actions.change_password(person, password=PASSWORD, new_password="something else 12")
    assert caught.value.code == "password_elsewhere"
    with posted() as mails:
        assert Client().post("/reset/", {"login": "carol"}).url == "/reset/sent/"
    (mail,) = mails
    assert "the lab's directory" in mail.body
    assert not re.search(r"/reset/[0-9a-f-]{36}/", mail.body)


# The line --------------------------------------------------------------------------------


def test_a_directory_that_is_down_is_a_sentence(server, person, alice, client):
    server.stop()
    try:
        assert refused("carol") == "directory_unreachable"
        assert refused("nobody") == "directory_unreachable"
        assert refused("alice", "wrong") == "directory_unreachable"
        assert enter("alice", LOCAL) == alice
        page = client.post("/login/", {"login": "carol", "password": PASSWORD})
        assert page.status_code == 422
        assert "does not answer" in page.text
    finally:
        server.start()
    assert enter("carol") == person


def test_a_wrong_bind_password_is_a_sentence(server, change):
    server.add("alice")
    change(bind_password="wrong")
    assert refused("alice") == "directory_unreachable"


def test_a_certificate_of_an_unknown_authority_is_not_believed(server, change):
    server.add("alice")
    change(ca_file="")
    assert refused("alice") == "directory_unreachable"


def test_a_certificate_for_another_name_is_not_believed(server, change):
    server.add("alice")
    change(url=server.url.replace("127.0.0.1", "localhost"))
    assert refused("alice") == "directory_unreachable"


def test_tls_from_the_start_works_as_well(server, change):
    server.add("alice")
    change(url=server.tls_url, start_tls=False)
    assert enter("alice").username == "alice"
    change(ca_file="")
    assert refused("alice") == "directory_unreachable"


@pytest.mark.parametrize("scheme", ["ldap", "ldaps"])
def test_a_directory_that_never_answers_is_given_up(server, change, monkeypatch, scheme):
    monkeypatch.setattr(directory, "TIMEOUT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        change(url=f"{scheme}://127.0.0.1:{silent.getsockname()[1]}", start_tls=scheme == "ldap")
        began = time.monotonic()
        assert refused("alice") == "directory_unreachable"
        assert time.monotonic() - began < 5


def test_without_tls_it_works_if_one_asks_for_it(server, change):
    server.add("alice")
    change(start_tls=False, ca_file="")
    assert enter("alice").username == "alice"


# Settings --------------------------------------------------------------------------------


def read(**changes):
    fields = {
        "url": "ldaps://ldap.example.org", "name": "", "bind_dn": "", "bind_password": "",
        "user_base": "ou=people,dc=example,dc=org", "user_filter": "", "group": "",
        "start_tls": True, "ca_file": "", "attributes": [],
    }  # fmt: skip
    return directory.read(**fields | {"name": "LDAP"} | changes)


def test_settings_describe_a_directory():
    assert read(url="") is None
    known = read(attributes=["username=employeeNumber"])
    assert known.attributes["username"] == "employeeNumber"
    assert known.attributes["email"] == "mail"
    assert known.is_private
    assert not known.start_tls  # it is TLS from the start
    assert not read(url="ldap://ldap.example.org", start_tls=False).is_private


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"url": "https://ldap.example.org"}, "PORTAL_LDAP_URL"),
        ({"user_base": ""}, "PORTAL_LDAP_USER_BASE"),
        ({"user_filter": "uid=%(user)s"}, "PORTAL_LDAP_USER_FILTER"),
        ({"user_filter": "(uid=me)"}, "PORTAL_LDAP_USER_FILTER"),
        ({"ca_file": "/nowhere.pem"}, "PORTAL_LDAP_CA_FILE"),
        ({"bind_dn": "cn=me"}, "PORTAL_LDAP_BIND_PASSWORD"),
        ({"attributes": ["name=cn"]}, "PORTAL_LDAP_ATTRIBUTES"),
    ],
)
def test_a_fault_in_the_settings_is_a_sentence(changes, word):
    with pytest.raises(Exception, match=word) as caught:
        read(**changes)
    assert type(caught.value).__name__ == "ImproperlyConfigured"


def test_the_bind_password_is_printed_nowhere():
    assert "hush" not in repr(read(bind_dn="cn=me", bind_password="hush"))
