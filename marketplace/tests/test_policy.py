"""Which images the site allows: the rule, the lists, and what a change of them would do."""

import pytest

from core.errors import Refused
from core.models import Event
from marketplace import policy
from marketplace.actions import policy as actions
from marketplace.identifiers import provisional_identifier_of
from marketplace.models import ImageFile, PolicyLine
from marketplace.states import Trust
from marketplace.tests.factories import EntryFactory
from registration.tests.factories import UserFactory

pytestmark = pytest.mark.django_db

WHITE, BLACK = "white", "black"


def put(subject, colour, *values):
    for value in values:
        PolicyLine.objects.create(subject=subject, colour=colour, value=value)


@pytest.fixture
def admin():
    return UserFactory(admin=True)


@pytest.fixture
def browser(client, admin):
    client.force_login(admin)
    return client


def test_without_a_line_everything_is_allowed():
    assert policy.refusal(EntryFactory(trust=Trust.UNSIGNED)) == ""


@pytest.mark.parametrize("email", ["bob@example.org", "Bob@Example.ORG"])
def test_a_black_endorser_is_refused_however_the_address_is_written(email):
    put("endorser", BLACK, "bob@example.org")
    assert policy.refusal(EntryFactory(endorser_email=email)) == (
        "Not allowed here: the endorser bob@example.org is on this site's black list of endorsers."
    )
    assert policy.refusal(EntryFactory(endorser_email="bob@example.com")) == ""


def test_whoever_is_not_on_a_white_list_is_refused():
    put("endorser", WHITE, "alice@example.org")
    assert policy.refusal(EntryFactory(endorser_email="Alice@example.org")) == ""
    said = policy.refusal(EntryFactory(endorser_email="bob@example.org"))
    assert said == (
        "Not allowed here: the endorser bob@example.org is not on this site's white list of "
        "endorsers."
    )


@pytest.mark.parametrize("name", ["sha1", "sha256", "sha512"])
def test_checksums_of_each_kind_count(name):
    entry, other = EntryFactory(), EntryFactory()
    put("checksum", BLACK, getattr(entry, name))
    assert getattr(entry, name) in policy.refusal(entry)
    assert policy.refusal(other) == ""
    put("checksum", WHITE, getattr(other, name))
    assert "not on this site's white list of checksums" in policy.refusal(entry)


def test_an_entry_without_a_checksum_is_on_no_white_list_of_them():
    put("checksum", WHITE, "0" * 40)
    entry = EntryFactory(identifier="_" + "a" * 26, sha1="", sha256="", sha512="")
    assert "states no checksum" in policy.refusal(entry)


def test_images_by_identifier_and_by_nothing_like_it():
    entry, other = EntryFactory(), EntryFactory()
    put("image", BLACK, entry.identifier)
    assert f"the image {entry.identifier} is on" in policy.refusal(entry)
    assert policy.refusal(other) == ""
    put("image", WHITE, entry.identifier.swapcase())
    assert "is not on this site's white list of images" in policy.refusal(other)


def test_the_first_list_that_refuses_is_named_in_the_order_of_old():
    entry = EntryFactory(endorser_email="bob@example.org")
    put("image", BLACK, entry.identifier)
    assert "list of images" in policy.refusal(entry)
    put("checksum", BLACK, entry.sha1)
    assert "black list of checksums" in policy.refusal(entry)
    put("checksum", WHITE, "0" * 40)
    assert "white list of checksums" in policy.refusal(entry)
    put("endorser", BLACK, "bob@example.org")
    assert "black list of endorsers" in policy.refusal(entry)
    put("endorser", WHITE, "alice@example.org")
    assert "white list of endorsers" in policy.refusal(entry)


def test_a_white_list_does_not_save_from_a_black_one():
    entry = EntryFactory()
    put("image", WHITE, entry.identifier)
    put("endorser", BLACK, entry.endorser_email)
    assert "black list of endorsers" in policy.refusal(entry)


def test_none_escapes_behind_one_that_is_refused(django_assert_num_queries):
    put("endorser", BLACK, "bob@example.org")
    entries = EntryFactory.create_batch(7, endorser_email="bob@example.org")
    entries += EntryFactory.create_batch(3)
    with django_assert_num_queries(2):
        verdicts = policy.verdicts(entries)
    assert [bool(verdicts[entry.pk]) for entry in entries] == [True] * 7 + [False] * 3


def test_very_many_are_judged_as_few_are():
    put("endorser", BLACK, "bob@example.org")
    put("image", WHITE, "MMZu9WvwKIro-rtBQfDk4PsKO7_")
    entries = EntryFactory.build_batch(policy._FEW + 1)
    entries[7].endorser_email = "Bob@example.org"
    many = policy.Rules.about(entries)
    for entry in (entries[7], entries[8]):
        assert many.refusal(entry) == policy.refusal(entry) != ""


@pytest.mark.parametrize(
    ("subject", "value", "kept"),
    [
        ("endorser", " Bob@Example.org ", "bob@example.org"),
        ("checksum", "AB" * 20, "ab" * 20),
        ("checksum", "0F" * 64, "0f" * 64),
        ("image", "MMZu9WvwKIro-rtBQfDk4PsKO7_", "MMZu9WvwKIro-rtBQfDk4PsKO7_"),
        ("image", "_" + "a" * 26, "_" + "a" * 26),
    ],
)
def test_lines_are_kept_as_they_are_compared(subject, value, kept):
    assert actions.policy_line(subject, BLACK, value).value == kept


@pytest.mark.parametrize(
    ("subject", "value", "words"),
    [
        ("endorser", "bob", "no e-mail address"),
        ("checksum", "ab" * 16, "a SHA-1 has 40"),
        ("checksum", "g" * 40, "no checksum"),
        ("image", "ZMZu9WvwKIro-rtBQfDk4PsKO7_", "no image identifier"),
        ("disk", "x", "no such list"),
    ],
)
def test_a_line_that_could_match_nothing_is_refused(subject, value, words):
    with pytest.raises(Refused, match=words) as refused:
        actions.policy_line(subject, BLACK, value)
    assert refused.value.code == "line_invalid"


def test_a_preview_tells_what_would_be_refused_and_writes_nothing(admin):
    bobs = EntryFactory.create_batch(2, endorser_email="Bob@example.org")
    EntryFactory()
    EntryFactory(endorser_email="bob@example.org", expired=True)
    line = actions.policy_line("endorser", BLACK, "bob@example.org")
    preview = actions.preview_policy(actions.PolicyChange(added=[line]))
    assert set(preview.refused) == set(bobs)
    assert not preview.allowed.exists()
    assert (preview.opened, preview.closed) == (["black list of endorsers"], [])
    assert not PolicyLine.objects.exists()


def test_a_preview_judges_as_the_rule_does(admin):
    entries = [
        EntryFactory(endorser_email=f"{name}@example.org") for name in ("alice", "bob", "carol")
    ]
    put("endorser", WHITE, "alice@example.org", "bob@example.org")
    put("checksum", BLACK, entries[1].sha256)
    change = actions.PolicyChange(
        added=[actions.policy_line("image", BLACK, entries[0].identifier)],
        removed=list(PolicyLine.objects.all()),
    )
    before = policy.verdicts(entries)
    preview = actions.preview_policy(change)
    refused, allowed = set(preview.refused), set(preview.allowed)
    actions.change_policy(change, by=admin)
    after = policy.verdicts(entries)
    assert {e for e in entries if after[e.pk] and not before[e.pk]} == refused == {entries[0]}
    assert {e for e in entries if before[e.pk] and not after[e.pk]} == allowed == set(entries[1:])


def test_each_line_is_in_the_audit_with_its_list_and_its_note(admin):
    line = actions.policy_line("endorser", BLACK, "bob@example.org", "left the institute")
    actions.change_policy(actions.PolicyChange(added=[line]), by=admin)
    actions.change_policy(actions.PolicyChange(removed=list(PolicyLine.objects.all())), by=admin)
    added, removed = Event.objects.filter(kind="policy_line")
    assert (added.verb, removed.verb) == ("policy_line_added", "policy_line_removed")
    assert (added.by, added.subject_name, added.reason) == (
        admin, "bob@example.org", "left the institute",
    )  # fmt: skip
    assert added.detail == {"list": "black list of endorsers"}


def test_only_administrators_change_the_lists():
    line = actions.policy_line("endorser", BLACK, "bob@example.org")
    with pytest.raises(Refused) as refused:
        actions.change_policy(actions.PolicyChange(added=[line]), by=UserFactory())
    assert refused.value.code == "not_administrator"
    assert not PolicyLine.objects.exists()


def test_what_is_on_the_lists_already_is_no_change(admin):
    put("endorser", BLACK, "bob@example.org")
    line = actions.policy_line("endorser", BLACK, "BOB@example.org")
    with pytest.raises(Refused) as refused:
        actions.change_policy(actions.PolicyChange(added=[line]), by=admin)
    assert refused.value.code == "nothing_to_change"


def test_the_lists_have_an_end(admin, monkeypatch):
    monkeypatch.setattr(actions, "MOST_LINES", 2)
    lines = actions.policy_lines("endorser", BLACK, "a@b.org c@d.org, e@f.org")
    with pytest.raises(Refused, match="would have 3 lines; together they have 2") as refused:
        actions.change_policy(actions.PolicyChange(added=lines), by=admin)
    assert refused.value.code == "too_many_lines"


OLD = """\
[endorsers]
whitelistendorsers: hudson.builder@stratuslab.eu
  Images@StratusLab.eu
blacklistendorsers =
[checksums]
blacklistchecksums = C319BBD5AFC0A22BA3EAED0507C39383EC28EEFF
[images]
whitelistimages =
"""


def test_a_policy_of_old_is_read_and_written_again(admin):
    actions.change_policy(actions.read_policy_file(OLD), by=admin)
    assert set(PolicyLine.objects.values_list("subject", "colour", "value")) == {
        ("endorser", "white", "hudson.builder@stratuslab.eu"),
        ("endorser", "white", "images@stratuslab.eu"),
        ("checksum", "black", "c319bbd5afc0a22ba3eaed0507c39383ec28eeff"),
    }
    again = actions.read_policy_file(actions.policy_file(), replaces=True)
    with pytest.raises(Refused) as refused:
        actions.preview_policy(again)
    assert refused.value.code == "nothing_to_change"


def test_a_file_can_replace_the_lists(admin):
    put("image", BLACK, "MMZu9WvwKIro-rtBQfDk4PsKO7_")
    actions.change_policy(actions.read_policy_file(OLD, replaces=True), by=admin)
    assert not PolicyLine.objects.filter(subject="image").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("endorsers", "no policy.cfg"),
        ("[other]\na = b\n", "none of"),
        ("[images]\nblacklistimages = x\n", "no image identifier"),
        ("x" * (1 << 20) + "x", "larger than 1 MiB"),
    ],
)
def test_a_file_that_is_no_policy_is_refused(text, words):
    with pytest.raises(Refused, match=words):
        actions.read_policy_file(text)


def test_a_key_with_a_typing_mistake_is_said_not_to_be_read(browser):
    text = "[endorsers]\nwhitelistendorser = a@b.org\nblacklistendorsers = c@d.org\n[x]\n"
    page = browser.post("/marketplace/policy/", {"ask": "file", "text": text}).text
    assert "Not read: [x], whitelistendorser in [endorsers]." in page
    useless = browser.post("/marketplace/policy/", {"ask": "file", "text": text[:39]})
    assert useless.status_code == 422
    assert "Not read: whitelistendorser in [endorsers]." in useless.text


def test_every_endorser_of_the_catalogue_can_be_listed():
    with pytest.raises(Refused, match="no endorser of the Marketplace"):
        actions.policy_line("endorser", WHITE, "portal@127.0.0.1")
    entry = EntryFactory(endorser_email="portal@127.0.0.1")
    line = actions.policy_line("endorser", WHITE, "Portal@127.0.0.1")
    put(*line[:3])
    assert policy.refusal(entry) == ""


def test_the_preview_says_how_many_can_be_launched_afterwards(browser):
    put("endorser", BLACK, "alice@example.org")
    for name in ("alice", "bob", "carol"):
        EntryFactory(endorser_email=f"{name}@example.org")
    asked = {"ask": "add", "list": "endorser.white", "values": "alice@example.org bob@example.org"}
    page = browser.post("/marketplace/policy/", asked).text
    assert "Afterwards 1 of 3 entries that can be launched by their own words is allowed" in page


@pytest.mark.parametrize("name", ["identifier", "sha1", "sha256", "sha512"])
def test_a_line_tells_which_image_it_is_about(browser, name):
    entry = EntryFactory(title="Bob's own")
    put("image" if name == "identifier" else "checksum", BLACK, getattr(entry, name))
    page = browser.get("/marketplace/policy/").text
    assert f'href="{entry.permalink}">Bob&#x27;s own</a>' in page


def test_lines_go_to_the_list_that_was_looked_at(browser):
    page = browser.get("/marketplace/policy/", {"list": "image.black"}).text
    assert '<option value="image.black" selected>' in page
    assert '<option value="endorser.black" selected>' in browser.get("/marketplace/policy/").text


def test_the_page_shows_what_would_change_before_it_does(browser):
    entry = EntryFactory(endorser_email="bob@example.org", title="Bob's own")
    asked = {"ask": "add", "list": "endorser.black", "values": "Bob@example.org", "note": "why"}
    page = browser.post("/marketplace/policy/", asked)
    assert page.status_code == 200
    assert "1 entry would become refused" in page.text
    assert entry.permalink in page.text
    assert "Machines that run are not touched" in page.text
    assert not PolicyLine.objects.exists()

    answer = browser.post(
        "/marketplace/policy/",
        {"ask": "apply", "wanted": page.context["wanted"],
         "version": page.context["preview"].version},
        follow=True,
    )  # fmt: skip
    assert "1 added, 0 removed" in answer.text
    assert (PolicyLine.objects.get().value, PolicyLine.objects.get().note) == (
        "bob@example.org", "why",
    )  # fmt: skip


def test_of_very_many_the_first_are_shown_and_the_rest_counted(
    browser, django_assert_max_num_queries
):
    EntryFactory.create_batch(53, endorser_email="bob@example.org")
    asked = {"ask": "add", "list": "endorser.black", "values": "bob@example.org"}
    with django_assert_max_num_queries(12):
        page = browser.post("/marketplace/policy/", asked)
    assert "53 entries would become refused" in page.text
    assert "and 3 more" in page.text


def test_lines_are_removed_the_same_way(browser):
    put("endorser", WHITE, "alice@example.org")
    EntryFactory(endorser_email="bob@example.org")
    line = PolicyLine.objects.get()
    page = browser.post("/marketplace/policy/", {"ask": "remove", "lines": [line.uuid]})
    assert "1 entry would become allowed" in page.text
    assert "is not active any more" in page.text
    browser.post(
        "/marketplace/policy/",
        {"ask": "apply", "wanted": page.context["wanted"],
         "version": page.context["preview"].version},
    )  # fmt: skip
    assert not PolicyLine.objects.exists()


def test_a_preview_that_is_not_true_any_more_is_shown_again(browser):
    asked = {"ask": "add", "list": "endorser.black", "values": "bob@example.org"}
    page = browser.post("/marketplace/policy/", asked)
    put("endorser", WHITE, "alice@example.org")
    answer = browser.post(
        "/marketplace/policy/",
        {"ask": "apply", "wanted": page.context["wanted"],
         "version": page.context["preview"].version},
    )  # fmt: skip
    assert answer.status_code == 422
    assert "Somebody else has changed the lists meanwhile" in answer.text
    assert PolicyLine.objects.count() == 1


@pytest.mark.parametrize(
    "asked",
    [
        {"ask": "add", "list": "endorser.black", "values": "bob"},
        {"ask": "add", "list": "nothing", "values": "bob@example.org"},
        {"ask": "remove"},
        {"ask": "remove", "lines": ["x"]},
        {"ask": "file"},
        {"ask": "file", "text": "[images"},
        {"ask": "nonsense"},
        {"ask": "apply", "wanted": "{", "version": "x"},
        {"ask": "apply", "wanted": '{"added": [["x"]], "removed": ["y"]}', "version": "x"},
        {"ask": "apply", "wanted": '{"added": [[1, 2, 3, 4, 5]], "removed": []}', "version": "x"},
        {"ask": "apply"},
    ],
)
def test_nonsense_changes_nothing(browser, asked):
    answer = browser.post("/marketplace/policy/", asked)
    assert answer.status_code in (302, 422)
    assert not PolicyLine.objects.exists()


def test_the_lists_are_downloaded_as_a_file(browser):
    put("endorser", BLACK, "bob@example.org")
    answer = browser.get("/marketplace/policy/policy.cfg")
    assert "attachment" in answer["Content-Disposition"]
    assert "blacklistendorsers =\n    bob@example.org" in answer.text


def test_for_everybody_else_there_is_no_such_page(client):
    client.force_login(UserFactory())
    assert client.get("/marketplace/policy/").status_code == 404
    assert client.post("/marketplace/policy/", {}).status_code == 404
    assert client.get("/marketplace/policy/policy.cfg").status_code == 404


@pytest.mark.parametrize("lines", [1, 20])
def test_the_page_costs_the_same_however_long_the_lists(browser, lines, django_assert_num_queries):
    put("endorser", BLACK, *[f"u{number}@example.org" for number in range(lines)])
    browser.get("/marketplace/policy/")
    # session, user, policies, who waits (3), the bell, lines
    with django_assert_num_queries(8):
        browser.get("/marketplace/policy/")


def copied(entry, **found):
    """The site has copied its image and found these checksums."""
    return ImageFile.objects.create(
        cloud="local", identifier=entry.identifier, entry=entry, state="ready", ref="r", sums=found
    )


@pytest.mark.parametrize("name", ["sha1", "sha256"])
def test_a_checksum_that_is_left_out_counts_once_the_bytes_were_copied(name):
    whole = EntryFactory(content=b"forbidden")
    silent = EntryFactory(content=b"forbidden", endorser_email="eve@example.org")
    for gone in ("sha256", "sha512"):
        setattr(silent, gone, "")
    silent.identifier, silent.sha1 = provisional_identifier_of(whole.sha256), ""
    silent.save()
    put("checksum", BLACK, getattr(whole, name))
    assert policy.refusal(silent) == ""
    copied(silent, sha1=whole.sha1, sha256=whole.sha256)
    assert getattr(whole, name) in policy.refusal(silent)
    assert getattr(whole, name) in policy.Rules.now().refusal(silent)


def test_a_black_identifier_holds_for_an_index_that_does_not_state_the_sha_1():
    whole = EntryFactory(content=b"forbidden")
    listed = EntryFactory(
        content=b"forbidden", identifier=provisional_identifier_of(whole.sha256), sha1=""
    )
    copied(listed, sha1=whole.sha1)
    put("image", BLACK, whole.identifier)
    assert f"the image {whole.identifier} is on" in policy.refusal(listed)


def test_the_preview_knows_what_was_found_of_the_bytes():
    entry, other = EntryFactory(sha256="", sha512=""), EntryFactory()
    copied(entry, sha1=entry.sha1, sha256="a" * 64)
    change = actions.PolicyChange(added=[actions.policy_line("checksum", BLACK, "a" * 64)])
    assert list(actions.preview_policy(change).refused) == [entry]
    white = actions.PolicyChange(added=[actions.policy_line("checksum", WHITE, "a" * 64)])
    assert list(actions.preview_policy(white).refused) == [other]
