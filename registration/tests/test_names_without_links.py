"""Names stand in mails to people elsewhere: they hold nothing to click on."""

import pytest

from core.errors import Refused
from registration import names


@pytest.mark.parametrize(
    "text", ["your prize waits at https://evil.example/claim", "www.evil.example", "evil.com/x"]
)
@pytest.mark.parametrize("field", ["given_name", "family_name"])
def test_a_name_holds_no_link(field, text):
    with pytest.raises(Refused) as refused:
        getattr(names, field)(text)
    assert (refused.value.code, refused.value.field) == (f"{field}_invalid", field)


@pytest.mark.parametrize("text", ["Jean-Luc", "J.R.R.", "Dr. O'Neil", "Ana M.a", "李", "St.John"])
def test_names_with_dots_are_names(text):
    assert names.given_name(text) == text
