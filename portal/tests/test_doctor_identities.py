import pytest

from portal.doctor import identities
from registration.tests.providers import authlib_over_http, free_port, listening, provider
from registration.tests.slapd import change, running_slapd, server

__all__ = [
    "authlib_over_http", "change", "free_port", "listening", "provider", "running_slapd", "server",
]  # fmt: skip

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def test_the_self_test_asks_each_provider(provider, settings, free_port):
    (check,) = identities.providers()
    assert check.status == "ok"
    assert "/oidc/lab/login/callback/" in check.sentence
    assert "the-client-secret" not in str(check)
    provider.config = lambda config: config | {"issuer": "https://evil.example"}
    (check,) = identities.providers()
    assert (check.status, "issuer" in check.fix) == ("fault", True)
    app = provider.as_app(settings={"server_url": f"http://localhost:{free_port}"})
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [app]}}
    (check,) = identities.providers()
    assert (check.status, "does not answer" in check.sentence) == ("fault", True)
    settings.SOCIALACCOUNT_PROVIDERS = {}
    assert list(identities.providers()) == []


def checks() -> list[tuple[str, str]]:
    return [(check.status.value, check.sentence) for check in identities.ldap()]


def test_the_self_test_asks_the_directory(server, change, settings):
    ((status, _),) = checks()
    assert status == "ok"
    change(start_tls=False)
    ((status, sentence),) = checks()
    assert status == "warning"
    assert "in the clear" in sentence
    change(start_tls=True, group="cn=gone,o=cloud")
    ((status, sentence),) = checks()
    assert status == "fault"
    assert "NO_SUCH_OBJECT" in sentence
    change(group="", bind_password="wrong")
    ((status, sentence),) = checks()
    assert (status, "INVALID_CREDENTIALS" in sentence) == ("fault", True)
    settings.PORTAL_LDAP = None
    assert checks() == []
