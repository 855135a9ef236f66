import json

import pytest
from django.core.exceptions import ImproperlyConfigured

from registration.identities import client, providers

GOOD = {
    "id": "orcid",
    "name": "ORCID",
    "issuer": "https://orcid.org",
    "client_id": "APP-1",
    "client_secret": "hush",
}


def read(*entries):
    return providers.read(json.dumps(list(entries)))


def test_no_text_means_no_provider():
    assert providers.read("") == providers.read(" \n") == []


def test_a_provider_needs_few_words():
    (orcid,) = read(GOOD)
    assert orcid.scopes == ("openid", "profile", "email")
    assert orcid.pkce
    (app,) = providers.apps([orcid])["openid_connect"]["APPS"]
    assert (app["provider_id"], app["secret"]) == ("orcid", "hush")
    assert app["settings"]["server_url"] == "https://orcid.org"
    assert app["settings"]["oauth_pkce_enabled"]


def test_a_secret_may_be_in_a_file(tmp_path):
    path = tmp_path / "secret"
    path.write_text("of-the-file\n")
    entry = {name: text for name, text in GOOD.items() if name != "client_secret"}
    (orcid,) = read(entry | {"client_secret_file": str(path)})
    assert orcid.secret == "of-the-file"


def test_a_secret_is_printed_nowhere():
    assert "hush" not in repr(read(GOOD))


def test_the_address_of_the_description_is_an_issuer_as_well():
    (orcid,) = read(GOOD | {"issuer": "https://orcid.org/.well-known/openid-configuration"})
    assert orcid.issuer == "https://orcid.org"


WRONG = [
    ({"id": "ORCID!"}, "an id has"),
    ({"id": "ldap"}, "an id has"),
    ({"id": 7}, "id must be a text"),
    ({"name": ""}, "has no name"),
    ({"name": "N" * 41}, "more than 40"),
    ({"issuer": "http://orcid.org"}, "issuer is 'http://orcid.org'"),
    ({"issuer": "https://me:pass@orcid.org"}, "issuer"),
    ({"issuer": "orcid.org"}, "issuer"),
    ({"scopes": ["profile"]}, "openid"),
    ({"scopes": "openid"}, "scopes must be a list"),
    ({"scopes": ["openid", 1]}, "scopes must be a list"),
    ({"pkce": "yes"}, "pkce must be true or false"),
    ({"pkce": False, "client_secret": ""}, "neither client_secret nor pkce"),
    ({"client_secret_file": "/nowhere"}, "keep one"),
    ({"client_secret": "", "client_secret_file": "/nowhere"}, "client_secret_file"),
    ({"token_auth_method": "private_key_jwt"}, "token_auth_method"),
    ({"secret": "hush"}, "has 'secret'"),
]


@pytest.mark.parametrize(("changes", "words"), WRONG)
def test_a_fault_is_a_sentence_that_names_the_provider(changes, words):
    with pytest.raises(ImproperlyConfigured) as caught:
        read(GOOD | changes)
    assert words in str(caught.value)
    assert "PORTAL_OIDC_PROVIDERS" in str(caught.value)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("text", ["[", "{}", "[1]", '"orcid"'])
def test_what_is_no_list_of_providers_is_a_sentence(text):
    with pytest.raises(ImproperlyConfigured, match="PORTAL_OIDC_PROVIDERS"):
        providers.read(text)


def test_an_id_stands_for_one_provider():
    with pytest.raises(ImproperlyConfigured, match="two providers"):
        read(GOOD, GOOD)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ([{"email": "a@x.org", "email_verified": True}], ("a@x.org", True)),
        ([{"email": "a@x.org", "email_verified": "true"}], ("a@x.org", True)),
        ([{"email": "a@x.org", "email_verified": "false"}], ("a@x.org", False)),
        ([{"email": "a@x.org"}, {"email": "a@x.org", "email_verified": True}], ("a@x.org", True)),
        ([{"email": "a@x.org"}, {"email": "b@x.org", "email_verified": True}], ("a@x.org", False)),
        ([{}, {"email": "b@x.org", "email_verified": True}], ("b@x.org", True)),
        ([{"email": ["a@x.org"], "email_verified": True}], ("", False)),
        ([{"email": "", "email_verified": True}], ("", False)),
    ],
)
def test_an_address_is_verified_only_if_that_one_is(said, found):
    assert client.address_in(*said) == found
