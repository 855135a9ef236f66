import html
import re
from datetime import timedelta

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialToken
from cryptography.hazmat.primitives.asymmetric import rsa
from django.test import Client
from django.utils import timezone

from core.models import Event
from registration.models import ApprovalRule, User
from registration.states import AccountState
from registration.tests.factories import PASSWORD, UserFactory
from registration.tests.providers import (
    SAID,
    Provider,
    authlib_over_http,
    free_port,
    listening,
    provider,
    query_of,
)

__all__ = ["authlib_over_http", "free_port", "listening", "provider"]

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.slow,
    # Of the provider's own library, in its thread.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

ANSWERS = {
    "username": "jane_doe",
    "email": "jane@example.org",
    "given_name": "Jane",
    "family_name": "Doe",
    "message": "I work at the lab.",
    "agreement": "on",
}


def begin(client: Client, path: str = "/oidc/lab/login/", **fields: str) -> str:
    """Press the button; the provider's address that the browser is led to."""
    page = client.post(path, fields)
    assert page.status_code == 200, (page.status_code, page.headers)
    return html.unescape(re.search(r'id="leave" href="([^"]+)"', page.text)[1])


def come_back(client: Client, url: str):
    return client.get(url.removeprefix("http://testserver"))


def sign_in(client: Client, provider: Provider, subject: str = "jane", **fields: str):
    return come_back(client, provider.agree(begin(client, **fields), subject))


def register(client: Client, provider: Provider, posted, **changes: str) -> list:
    assert sign_in(client, provider).url == "/register/finish/"
    with posted() as mails:
        answer = client.post("/register/finish/", ANSWERS | changes)
        assert answer.status_code == 302, answer.text
    return mails


def connected(user: User, subject: str = "jane", **more: str) -> SocialAccount:
    kept = {"iss": more.pop("iss", ""), "name": "", "given_name": "", "family_name": "",
            "preferred_username": "", "email": "", "email_verified": False}  # fmt: skip
    return SocialAccount.objects.create(user=user, provider="lab", uid=subject, extra_data=kept)


def is_signed_in(client: Client) -> bool:
    return client.get("/profile/").status_code == 200


# The way there and back ------------------------------------------------------------------


def test_the_sign_in_page_offers_each_provider(provider, client):
    assert "Sign in with Lab ID" in client.get("/login/").text


def test_a_link_to_sign_in_only_asks_whether_to_go(provider, client):
    page = client.get("/oidc/lab/login/?next=/vms/")
    assert page.status_code == 200
    assert "Go to Lab ID" in page.text
    assert not provider.asked


def test_an_unknown_provider_is_not_there(provider, client):
    assert client.post("/oidc/other/login/").status_code == 404
    assert client.get("/oidc/other/login/callback/?code=1&state=2").status_code == 404


def test_the_provider_is_asked_with_state_nonce_and_pkce(provider, client):
    asked = query_of(begin(client))
    assert asked["response_type"] == "code"
    assert set(asked["scope"].split()) == {"openid", "profile", "email"}
    assert len(asked["state"]) >= 16
    assert len(asked["nonce"]) >= 16
    assert asked["code_challenge_method"] == "S256"
    assert asked["redirect_uri"] == "http://testserver/oidc/lab/login/callback/"


def test_nobody_adds_to_what_the_provider_is_asked(provider, client):
    path = "/oidc/lab/login/?scope=admin&auth_params=prompt%3Dnone&process=connect"
    asked = query_of(begin(client, path))
    assert "admin" not in asked["scope"]
    assert "prompt" not in asked


def test_the_client_secret_is_in_no_page(provider, client):
    begun = client.post("/oidc/lab/login/").text
    assert "the-client-secret" not in begun + client.get("/login/").text


# The first time --------------------------------------------------------------------------


def test_who_comes_first_completes_a_request_that_waits(provider, client, posted, admin):
    assert sign_in(client, provider).url == "/register/finish/"
    page = client.get("/register/finish/").text
    assert "jane@example.org" in page
    assert 'value="jane_doe"' in page
    assert 'type="password"' not in page
    assert not User.objects.filter(username="jane_doe").exists()
    with posted() as mails:
        answer = client.post("/register/finish/", ANSWERS)
    assert answer.url == "/register/standing/"
    user = User.objects.get(username="jane_doe")
    assert (user.state, user.source) == (AccountState.CONFIRMED, "lab")
    assert user.email_confirmed_at is not None
    assert not user.has_usable_password()
    assert user.policy_version == 1
    assert list(User.objects.waiting()) == [user]
    assert sorted(mail.to[0] for mail in mails) == ["boss@example.org", "jane@example.org"]
    assert client.get("/register/standing/").status_code == 200
    assert not is_signed_in(client)


def test_what_is_kept_of_what_the_provider_says_has_no_token(provider, client, posted):
    provider.userinfo = lambda said: said | {"address": "12 Main Street", "sub": "jane"}
    register(client, provider, posted)
    account = SocialAccount.objects.get()
    assert set(account.extra_data) == {
        "iss", "name", "given_name", "family_name", "preferred_username", "email",
        "email_verified",
    }  # fmt: skip
    assert not SocialToken.objects.exists()


def test_an_address_that_nobody_verified_gets_a_mail(provider, client, posted):
    provider.knows("jane", **SAID | {"email_verified": False})
    (mail,) = register(client, provider, posted)
    user = User.objects.get(username="jane_doe")
    assert (user.state, user.email_confirmed_at) == (AccountState.APPLIED, None)
    assert mail.to == ["jane@example.org"]
    assert "/register/" in mail.body


@pytest.mark.parametrize("word", ["false", "yes", 1, None])
def test_only_a_plain_yes_verifies_an_address(provider, client, posted, word):
    provider.knows("jane", **SAID | {"email_verified": word})
    register(client, provider, posted)
    assert User.objects.get(username="jane_doe").state == AccountState.APPLIED


def test_another_address_than_the_verified_one_gets_a_mail(provider, client, posted):
    (mail,) = register(client, provider, posted, email="other@example.org")
    assert User.objects.get(username="jane_doe").state == AccountState.APPLIED
    assert mail.to == ["other@example.org"]


def test_a_provider_that_says_no_address_asks_for_one(provider, client, posted):
    provider.knows("jane", name="Jane Doe")  # as ORCID does
    assert sign_in(client, provider).url == "/register/finish/"
    assert client.post("/register/finish/", ANSWERS | {"email": ""}).status_code == 422
    with posted():
        assert client.post("/register/finish/", ANSWERS).status_code == 302
    user = User.objects.get(username="jane_doe")
    assert (user.state, user.given_name) == (AccountState.APPLIED, "Jane")


def test_a_rule_lets_in_by_the_verified_address_at_once(provider, client, posted, admin):
    ApprovalRule.objects.create(pattern="example.org", created_by=admin)
    register(client, provider, posted)
    user = User.objects.get(username="jane_doe")
    assert user.state == AccountState.ACTIVE
    assert is_signed_in(client)


def test_the_form_says_what_is_wrong_and_loses_nothing(provider, client):
    UserFactory(username="jane_doe")
    sign_in(client, provider)
    page = client.post("/register/finish/", ANSWERS | {"message": "Here I am"})
    assert page.status_code == 422
    assert "is taken" in page.text
    assert "Here I am" in page.text
    without = {name: text for name, text in ANSWERS.items() if name != "agreement"}
    assert "You must agree" in client.post("/register/finish/", without).text


def test_nobody_finishes_what_no_provider_began(provider, client):
    assert client.get("/register/finish/").url == "/login/"
    assert client.post("/register/finish/", ANSWERS).url == "/login/"
    assert not User.objects.exists()


def test_a_request_is_finished_once(provider, client, posted):
    register(client, provider, posted)
    assert client.post("/register/finish/", ANSWERS | {"username": "twice"}).url == "/login/"
    assert User.objects.count() == 1


def test_a_provider_that_is_gone_meanwhile_ends_the_request(provider, client, settings):
    sign_in(client, provider)
    settings.SOCIALACCOUNT_PROVIDERS = {}
    assert client.get("/register/finish/").url == "/login/"


# Addresses and accounts ------------------------------------------------------------------


def test_an_address_alone_opens_no_account(provider, client, alice):
    alice.email = "JANE@example.org"
    alice.save()
    assert sign_in(client, provider).url == "/register/finish/"
    page = client.get("/register/finish/").text
    assert "You have an account already" in page
    assert "alice" in page
    answer = client.post("/register/finish/", ANSWERS)
    assert "You have an account already" in answer.text
    assert not SocialAccount.objects.exists()
    assert not is_signed_in(client)


def test_who_does_not_own_the_address_is_not_told_of_its_account(provider, client, posted, alice):
    alice.email = "jane@example.org"
    alice.save()
    provider.knows("jane", **SAID | {"email_verified": False})
    sign_in(client, provider)
    page = client.get("/register/finish/").text
    assert "alice" not in page
    with posted() as mails:
        assert client.post("/register/finish/", ANSWERS).url == "/register/standing/"
    assert "alice" not in client.get("/register/standing/").text
    assert [mail.to for mail in mails] == [["jane@example.org"]]
    assert not is_signed_in(client)


# Later -----------------------------------------------------------------------------------


def test_a_connected_person_is_signed_in_and_it_is_written_down(provider, client, alice):
    connected(alice, iss=provider.url)
    answer = sign_in(client, provider, next="/vms/")
    assert answer.url == "/vms/"
    assert is_signed_in(client)
    (event,) = Event.objects.filter(subject=alice.uuid, verb="signed_in")
    assert event.detail["how"] == ["lab"]
    assert event.by == alice


def test_it_leads_to_no_other_site(provider, client, alice):
    connected(alice, iss=provider.url)
    assert sign_in(client, provider, next="https://evil.example/").url == "/"


@pytest.mark.parametrize("state", ["applied", "confirmed", "rejected", "withdrawn", "suspended"])
def test_who_is_not_let_in_sees_where_they_stand(provider, client, state):
    user = UserFactory(**{state: True})
    connected(user, iss=provider.url)
    assert sign_in(client, provider).url == "/register/standing/"
    assert client.get("/register/standing/").status_code == 200
    assert not is_signed_in(client)
    assert Event.objects.filter(subject=user.uuid, verb="looked").exists()


def test_a_closed_account_is_told_so(provider, client):
    user = UserFactory(closed=True)
    connected(user, iss=provider.url)
    page = sign_in(client, provider)
    assert page.status_code == 403
    assert "closed" in page.text
    assert Event.objects.filter(subject=user.uuid, outcome="denied").exists()


def test_a_second_factor_is_asked_for_as_after_a_password(provider, client, alice):
    connected(alice, iss=provider.url)
    Authenticator.objects.create(user=alice, type="totp", data={"secret": "x"})
    assert sign_in(client, provider).url == "/login/second-step/"
    assert not is_signed_in(client)


# What is not believed --------------------------------------------------------------------


def refused(page, status: int, words: str, client: Client) -> None:
    assert page.status_code == status, page.text[:500]
    assert words in page.text
    assert page.headers["X-Request-ID"] in page.text
    assert "/login/" in page.text
    assert not is_signed_in(client)


WRONG = {
    "issuer": lambda claims: claims | {"iss": "https://evil.example"},
    "audience": lambda claims: claims | {"aud": ["another-portal"]},
    "audiences": lambda claims: claims | {"aud": ["portal", "another"], "azp": "another"},
    "nonce": lambda claims: claims | {"nonce": "n" * 20},
    "no nonce": lambda claims: {k: v for k, v in claims.items() if k != "nonce"},
    "expired": lambda claims: claims | {"exp": claims["iat"] - 60},
    "no expiry": lambda claims: {k: v for k, v in claims.items() if k != "exp"},
    "from the future": lambda claims: claims | {"iat": claims["iat"] + 600},
    "no subject": lambda claims: {k: v for k, v in claims.items() if k != "sub"},
    "another subject": lambda claims: claims | {"sub": "boss"},
    "a long subject": lambda claims: claims | {"sub": "s" * 300},
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_token_signs_nobody_in(provider, client, alice, wrong):
    connected(alice, iss=provider.url)
    provider.claims = WRONG[wrong]
    refused(sign_in(client, provider), 403, "could not be believed", client)
    assert Event.objects.filter(outcome="denied", reason__contains="lab").exists()


def test_a_token_of_another_signer_signs_nobody_in(provider, client, alice):
    connected(alice, iss=provider.url)
    provider.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    refused(sign_in(client, provider), 403, "could not be believed", client)


def test_a_token_signed_with_our_own_secret_signs_nobody_in(provider, client, alice):
    connected(alice, iss=provider.url)
    provider.key, provider.algorithm = "the-client-secret" * 3, "HS256"
    refused(sign_in(client, provider), 403, "could not be believed", client)


def test_an_unsigned_token_signs_nobody_in(provider, client, alice):
    connected(alice, iss=provider.url)
    provider.key, provider.algorithm = "", "none"
    provider.claims = dict
    refused(sign_in(client, provider), 403, "could not be believed", client)


def test_userinfo_about_somebody_else_signs_nobody_in(provider, client, alice):
    connected(alice, iss=provider.url)
    provider.userinfo = lambda said: said | {"sub": "boss"}
    refused(sign_in(client, provider), 403, "could not be believed", client)


def test_an_answer_is_good_once(provider, client, alice):
    connected(alice, iss=provider.url)
    back = provider.agree(begin(client), "jane")
    assert come_back(client, back).status_code == 302
    client.post("/logout/")
    refused(come_back(client, back), 400, "Begin again", client)


def test_a_code_is_good_once_even_with_another_state(provider, client, alice):
    connected(alice, iss=provider.url)
    code = query_of(back := provider.agree(begin(client), "jane"))["code"]
    come_back(client, back)
    client.post("/logout/")
    state = query_of(begin(client))["state"]
    page = client.get(f"/oidc/lab/login/callback/?code={code}&state={state}")
    refused(page, 403, "could not be believed", client)


def test_an_answer_for_another_browser_is_refused(provider, client, alice):
    connected(alice, iss=provider.url)
    back = provider.agree(begin(client), "jane")
    stranger = Client()
    refused(come_back(stranger, back), 400, "another browser", stranger)


def test_an_answer_that_comes_late_is_refused(provider, client, alice):
    connected(alice, iss=provider.url)
    back = provider.agree(begin(client), "jane")
    with time_machine.travel(timezone.now() + timedelta(minutes=11), tick=True):
        refused(come_back(client, back), 400, "ten minutes", client)


def test_an_id_that_stands_for_another_issuer_opens_no_account(provider, client, alice):
    connected(alice, iss="https://the-issuer-of-before.example")
    refused(sign_in(client, provider), 403, "could not be believed", client)


def test_a_provider_that_calls_itself_otherwise_is_not_asked(provider, client):
    provider.config = lambda config: config | {"issuer": "https://evil.example"}
    refused(client.post("/oidc/lab/login/"), 403, "could not be believed", client)


@pytest.mark.parametrize("name", ["token_endpoint", "jwks_uri", "authorization_endpoint"])
def test_nothing_is_sent_in_the_clear(provider, client, name):
    provider.config = lambda config: config | {name: "http://idp.example.org/there"}
    refused(client.post("/oidc/lab/login/"), 403, "could not be believed", client)


# What goes wrong -------------------------------------------------------------------------


def test_who_turns_back_there_is_told_the_way(provider, client):
    back = provider.refuse(begin(client))
    answer = come_back(client, back)
    assert answer.url == "/login/cancelled/"
    page = client.get(answer.url)
    assert page.status_code == 200
    assert "Sign in another way" in page.text
    assert page.headers["X-Request-ID"] in page.text


def test_an_error_of_the_provider_is_a_sentence_without_its_words(provider, client):
    state = query_of(begin(client))["state"]
    page = client.get(
        f"/oidc/lab/login/callback/?error=server_error&error_description=CALL+555&state={state}"
    )
    refused(page, 400, "could not sign you in", client)
    assert "555" not in page.text


def test_a_provider_that_is_down_is_a_sentence(provider, client, settings, free_port):
    app = provider.as_app(settings={"server_url": f"http://localhost:{free_port}"})
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [app]}}
    refused(client.post("/oidc/lab/login/"), 403, "does not answer", client)


def test_a_provider_that_goes_down_meanwhile_is_a_sentence(provider, client):
    back = provider.agree(begin(client), "jane")
    provider.broken = 503
    refused(come_back(client, back), 403, "does not answer", client)


@pytest.mark.parametrize("status", [200, 302, 404])
def test_a_provider_that_talks_nonsense_is_a_sentence(provider, client, status):
    provider.broken = status
    refused(client.post("/oidc/lab/login/"), 403, "could not be believed", client)


# Connecting ------------------------------------------------------------------------------


@pytest.fixture
def alices(client, alice) -> Client:
    """Alice's browser, signed in with her password a moment ago."""
    client.post("/login/", {"login": "alice", "password": PASSWORD})
    assert is_signed_in(client)
    return client


def connect(client: Client, provider: Provider, subject: str = "jane"):
    return come_back(client, provider.agree(begin(client, "/oidc/lab/connect/"), subject))


def test_a_person_connects_and_is_let_in_by_it(provider, alices, alice, posted):
    assert "Connect Lab ID" in alices.get("/profile/identities/").text
    with posted() as mails:
        assert connect(alices, provider).url == "/profile/identities/"
    assert "Lab ID is connected" in alices.get("/profile/identities/").text
    assert [mail.to for mail in mails] == [[alice.email]]
    assert Event.objects.filter(subject=alice.uuid, verb="identity_connected").exists()
    alice.refresh_from_db()
    assert alice.source == ""
    other = Client()
    sign_in(other, provider)
    assert is_signed_in(other)


def test_connecting_asks_for_the_password_again(provider, alices, alice):
    with time_machine.travel(timezone.now() + timedelta(minutes=6), tick=True):
        answer = alices.post("/oidc/lab/connect/")
        assert answer.url.startswith("/profile/confirm/")
        account = connected(alice)
        answer = alices.post(f"/profile/identities/{account.pk}/disconnect/")
        assert answer.url.startswith("/profile/confirm/")
    assert SocialAccount.objects.exists()


def test_an_identity_opens_one_account(provider, alices, alice):
    connected(UserFactory(), iss=provider.url)
    connect(alices, provider)
    page = alices.get("/profile/identities/").text
    assert "opens another account" in page
    assert not SocialAccount.objects.filter(user=alice).exists()
    assert Event.objects.filter(subject=alice.uuid, outcome="denied").exists()


def test_connecting_twice_changes_nothing(provider, alices, alice):
    connect(alices, provider)
    connect(alices, provider)
    assert "was connected already" in alices.get("/profile/identities/").text
    assert SocialAccount.objects.count() == 1


def test_what_one_person_began_another_does_not_finish(provider, alices, alice):
    back = provider.agree(begin(alices, "/oidc/lab/connect/"), "jane")
    alices.force_login(UserFactory())
    come_back(alices, back)
    assert not SocialAccount.objects.exists()


def test_a_visitor_connects_nothing(provider, client):
    assert client.post("/oidc/lab/connect/").url.startswith("/login/")


def test_a_person_disconnects(provider, alices, alice, posted):
    account = connected(alice)
    with posted() as mails:
        alices.post(f"/profile/identities/{account.pk}/disconnect/")
    assert not SocialAccount.objects.exists()
    assert [mail.to for mail in mails] == [[alice.email]]
    assert Event.objects.filter(subject=alice.uuid, verb="identity_disconnected").exists()


def test_nobody_disconnects_what_is_somebody_elses(provider, alices):
    account = connected(UserFactory())
    assert alices.post(f"/profile/identities/{account.pk}/disconnect/").status_code == 404
    assert SocialAccount.objects.exists()


@pytest.fixture
def without_password(provider, client, alice) -> Client:
    alice.set_unusable_password()
    alice.source = "lab"
    alice.save()
    connected(alice, iss=provider.url)
    sign_in(client, provider)
    assert is_signed_in(client)
    return client


def test_the_only_way_in_stays(without_password, alice):
    page = without_password.get("/profile/identities/").text
    assert "your only way in" in page
    account = SocialAccount.objects.get()
    without_password.post(f"/profile/identities/{account.pk}/disconnect/")
    assert SocialAccount.objects.exists()
    assert "only way into your account" in without_password.get("/profile/identities/").text


def test_a_way_in_that_is_not_offered_any_more_is_none(without_password, alice):
    SocialAccount.objects.create(
        user=alice, provider="gone", uid="1", extra_data=SocialAccount.objects.get().extra_data
    )
    account = SocialAccount.objects.get(provider="lab")
    without_password.post(f"/profile/identities/{account.pk}/disconnect/")
    assert SocialAccount.objects.filter(provider="lab").exists()
    assert "not offered any more" in without_password.get("/profile/identities/").text


def test_with_a_passkey_the_last_provider_may_go(without_password, alice):
    Authenticator.objects.create(user=alice, type="webauthn", data={"name": "x", "credential": {}})
    account = SocialAccount.objects.get()
    without_password.post(f"/profile/identities/{account.pk}/disconnect/")
    assert not SocialAccount.objects.exists()
    alice.refresh_from_db()
    assert alice.source == ""  # and a password may be had by mail from now on


def test_who_has_no_password_gets_no_link_to_one(without_password, alice, client, posted):
    with posted() as mails:
        Client().post("/reset/", {"login": "alice"})
    (mail,) = mails
    assert "Lab ID" in mail.body
    assert "/reset/" not in mail.body


def test_pages_about_passwords_say_where_they_are(provider, without_password):
    assert "Lab ID" in without_password.get("/profile/password/").text
    assert "Lab ID" in without_password.get("/profile/security/").text
    assert "sign in with Lab ID" in Client().get("/reset/").text


def test_who_has_no_password_proves_it_at_the_provider(provider, without_password, alice):
    with time_machine.travel(timezone.now() + timedelta(minutes=6), tick=True):
        answer = without_password.post("/oidc/lab/connect/")
        assert answer.url.startswith("/profile/confirm/")
        there = "/profile/identities/"
        assert "Confirm with Lab ID" in without_password.get(answer.url).text
        url = begin(without_password, "/oidc/lab/prove/", next=there)
        assert query_of(url)["prompt"] == "login"
        assert query_of(url)["max_age"] == "0"
        assert come_back(without_password, provider.agree(url, "jane")).url == there
        assert without_password.post("/oidc/lab/connect/").status_code == 200


def test_another_identity_proves_nothing(provider, without_password, alice):
    provider.knows("bob", email="bob@example.org")
    with time_machine.travel(timezone.now() + timedelta(minutes=6), tick=True):
        url = begin(without_password, "/oidc/lab/prove/", next="/profile/identities/")
        answer = come_back(without_password, provider.agree(url, "bob"))
        assert answer.url.startswith("/profile/confirm/")
        assert without_password.post("/oidc/lab/connect/").status_code == 302


def proof(client: Client, provider: Provider, change=lambda url: url):
    url = begin(client, "/oidc/lab/prove/", next="/profile/identities/")
    return come_back(client, provider.agree(change(url), "jane"))


def test_a_session_that_the_provider_had_already_proves_nothing(provider, without_password, alice):
    """The browser holds the address: a thief leaves out that the provider should ask."""
    before = int(timezone.now().timestamp())
    provider.claims = lambda claims: claims | {"auth_time": before}
    with time_machine.travel(timezone.now() + timedelta(minutes=6), tick=True):
        answer = proof(
            without_password,
            provider,
            lambda url: url.replace("prompt=login", "").replace("max_age=0", ""),
        )
        assert answer.url == "/profile/confirm/?next=%2Fprofile%2Fidentities%2F"
        assert "did not say that it asked you again" in without_password.get(answer.url).text
        assert without_password.post("/oidc/lab/connect/").status_code == 302
    event = Event.objects.get(subject=alice.uuid, verb="proved_again")
    assert event.outcome == "denied"


@pytest.mark.parametrize("said", [None, "now", True, 1e400])
def test_a_provider_that_does_not_say_when_proves_nothing(provider, without_password, said):
    provider.claims = lambda claims: claims | {"auth_time": said}
    with time_machine.travel(timezone.now() + timedelta(minutes=6), tick=True):
        answer = proof(without_password, provider)
        assert "sign out here and in again" in without_password.get(answer.url).text
        assert without_password.post("/oidc/lab/connect/").status_code == 302


def test_a_clock_of_the_provider_that_is_a_little_late_is_forgiven(provider, without_password):
    provider.claims = lambda claims: claims | {"auth_time": claims["iat"] - 20}
    with time_machine.travel(timezone.now() + timedelta(minutes=6), tick=True):
        assert proof(without_password, provider).url == "/profile/identities/"


def test_an_old_session_at_the_provider_is_enough_to_sign_in(provider, client, alice):
    connected(alice, iss=provider.url)
    provider.claims = lambda claims: claims | {"auth_time": claims["iat"] - 7200}
    sign_in(client, provider)
    assert is_signed_in(client)
