"""deploy/nginx/portal.conf: what reaches the portal about whoever asks."""

import re

import pytest

_HEADER = re.compile(r"^\s*proxy_set_header\s+(\S+)\s+(.+);$", re.MULTILINE)
_LOCATION = re.compile(
    r"^    location\s+(?:[=~^*]+\s+)?(\S+) \{\n(.*?)^    \}$", re.MULTILINE | re.DOTALL
)

#: Without these the portal takes the upstream's name for its own, or believes the client.
NEEDED = {
    "Host": "$host",
    "X-Forwarded-For": "$remote_addr",
    "X-Forwarded-Proto": "$scheme",
    "X-Forwarded-Host": '""',
    "Forwarded": '""',
}


@pytest.fixture
def site(checkout) -> str:
    return (checkout / "deploy/nginx/portal.conf").read_text()


def headers_of(site: str) -> dict[str, dict[str, str]]:
    """What each proxied location sets: nginx inherits only where there is no line of its own."""
    of_server = dict(_HEADER.findall(_LOCATION.sub("", site)))
    return {
        path: dict(_HEADER.findall(body)) or of_server
        for path, body in _LOCATION.findall(site)
        if "proxy_pass" in body
    }


def test_every_proxied_location_says_who_asks_for_what(site):
    headers = headers_of(site)
    assert set(headers) == {
        "/", "/live/", "/volumes/uploads/", "/volumes/downloads/", "/console/ws/",
    }  # fmt: skip
    for path, found in headers.items():
        assert NEEDED.items() <= found.items(), path


def test_consoles_may_be_upgraded_and_nothing_else(site):
    upgraded = [path for path, found in headers_of(site).items() if "Upgrade" in found]
    assert upgraded == ["/console/ws/"]
