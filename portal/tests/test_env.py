"""What the environment may say."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from portal import env


@pytest.mark.parametrize("said", ["0", "-1", "4096"])
def test_a_number_beyond_its_limits_is_refused_with_them(monkeypatch, said):
    monkeypatch.setenv("PORTAL_METADATA_KIB", said)
    with pytest.raises(ImproperlyConfigured, match="from 1 to 1,024"):
        env.number("PORTAL_METADATA_KIB", 1024, most=1024)


def test_a_number_within_them_is_taken(monkeypatch):
    monkeypatch.setenv("PORTAL_METADATA_KIB", "16")
    assert env.number("PORTAL_METADATA_KIB", 1024, most=1024) == 16
