import pytest

from core.errors import Refused
from core.models import Event
from registration import actions, policies
from registration.differences import differences
from registration.models import Policy, User
from registration.policy_text import TEXT
from registration.tests.factories import UserFactory

pytestmark = pytest.mark.django_db

NEW = TEXT.replace("mine currency", "mine or mint currency")


@pytest.fixture(autouse=True)
def _shipped(db):
    """As the migration writes it: tests that commit empty the table."""
    Policy.objects.get_or_create(version=1, defaults={"text": TEXT})


def publish(by, text=NEW, *, changes="Minting is not allowed either.", asks_again=True, **more):
    return actions.publish_policies(
        by=by, text=text, changes=changes, asks_again=asks_again, **more
    )


def refusal(*args, **more) -> str:
    with pytest.raises(Refused) as refused:
        publish(*args, **more)
    return refused.value.code


# Which hold ------------------------------------------------------------------------------


def test_the_shipped_policies_are_this_sites_first_version():
    assert Policy.objects.get().text == TEXT
    assert policies.current().version == policies.wanted_version() == 1


def test_without_any_version_the_shipped_ones_hold():
    Policy.objects.all().delete()
    assert policies.current().text == policies.find(1).text == TEXT
    assert policies.find(2) is None


def test_the_first_one_published_keeps_what_people_had_agreed_to(admin):
    Policy.objects.all().delete()
    assert publish(admin).version == 2
    assert policies.find(1).text == TEXT


# Publishing ------------------------------------------------------------------------------


def test_a_new_version_is_published_and_told_to_the_audit(admin):
    policy = publish(admin)
    assert (policy.version, policy.published_by) == (2, admin)
    event = Event.objects.get(verb="policies_published")
    assert (event.by, event.subject_name) == (admin, "version 2")
    assert event.detail["before"] == {"version": 1}
    assert event.detail["after"]["changes"] == "Minting is not allowed either."


def test_who_publishes_has_agreed_and_everybody_else_is_asked(admin, alice):
    publish(admin)
    admin.refresh_from_db()
    assert not policies.must_agree(admin)
    assert policies.must_agree(alice)
    assert list(policies.missing()) == [alice]


def test_a_correction_asks_nobody(admin, alice):
    publish(admin, asks_again=False)
    assert policies.current().version == 2
    assert not policies.must_agree(alice)


def test_a_correction_after_a_change_still_asks_who_missed_the_change(admin, alice):
    publish(admin)
    publish(admin, f"{NEW}\nBe kind.", asks_again=False)
    assert policies.must_agree(alice)
    actions.agree_to_policies(alice)
    assert alice.policy_version == 3
    assert not policies.must_agree(alice)


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ({"text": " "}, "text_missing"),
        ({"text": "x" * 100_001}, "text_too_long"),
        ({"text": TEXT.replace("\n", "  \r\n")}, "text_same"),
        ({"changes": " "}, "changes_missing"),
        ({"changes": "x" * 301}, "changes_too_long"),
        ({"made_from": 7}, "policies_changed"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_published(admin, what, code):
    assert refusal(admin, **what) == code
    assert Policy.objects.count() == 1


def test_only_an_administrator_publishes(alice):
    assert refusal(alice) == "not_administrator"


def test_of_two_administrators_the_second_is_told(admin):
    publish(admin, made_from=1)
    assert refusal(UserFactory(admin=True), "Other words.", made_from=1) == "policies_changed"
    assert policies.current().version == 2


# Agreeing --------------------------------------------------------------------------------


def test_whoever_has_not_agreed_is_led_to_the_page_and_back(admin, alice, signed_in):
    client = signed_in(alice)
    publish(admin)
    answer = client.get("/vms/?state=all")
    assert (answer.status_code, answer.url) == (
        302,
        "/policies/agree/?next=%2Fvms%2F%3Fstate%3Dall",
    )
    page = client.get(answer.url).content.decode()
    assert "Minting is not allowed either." in page
    assert "or mint" in page
    answer = client.post("/policies/agree/", {"next": "/vms/?state=all", "version": "2"})
    assert (answer.status_code, answer.url) == (302, "/vms/?state=all")
    assert client.get("/vms/").status_code == 200


def test_programs_and_streams_are_refused_with_a_code(admin, alice, signed_in):
    client = signed_in(alice)
    publish(admin)
    for answer in (
        client.get("/live/"),
        client.post("/vms/launch/"),
        client.get("/vms/", headers={"X-Requested-With": "fetch"}),
    ):
        assert answer.status_code == 403
        assert answer.json()["code"] == "policies_not_agreed"


@pytest.mark.parametrize("path", ["/policies/", "/policies/1/", "/policies/2/", "/policies/agree/"])
def test_who_has_not_agreed_reads_the_policies_and_may_leave(admin, alice, signed_in, path):
    client = signed_in(alice)
    publish(admin)
    assert client.get(path).status_code == 200
    assert client.post("/logout/").status_code == 302


def test_agreeing_to_a_version_that_has_been_overtaken_is_not_agreeing(admin, alice, signed_in):
    client = signed_in(alice)
    publish(admin)
    publish(admin, f"{NEW}\nBe kind.", changes="Kindness.")
    answer = client.post("/policies/agree/", {"version": "2"})
    assert answer.status_code == 422
    assert "Version 3 was published while you read" in answer.content.decode()
    assert User.objects.get(pk=alice.pk).policy_version == 1


@pytest.mark.parametrize("version", ["", "x", "²", "9" * 40])
def test_agreeing_without_saying_to_what_is_not_agreeing(alice, signed_in, version):
    assert signed_in(alice).post("/policies/agree/", {"version": version}).status_code == 422


def test_every_version_since_one_agreed_is_told(admin, alice, signed_in):
    client = signed_in(alice)
    publish(admin)
    publish(admin, f"{NEW}\nBe kind.", changes="Kindness.")
    page = client.get("/policies/agree/").content.decode()
    assert "Version 2: Minting" in page
    assert "Version 3: Kindness." in page


def test_who_never_agreed_reads_the_whole_text(signed_in):
    page = signed_in(UserFactory(policy_version=0)).get("/policies/agree/").content.decode()
    assert "Read and agree" in page
    assert "mine currency" in page
    assert "What is new" not in page


def test_agreeing_is_in_the_audit(alice):
    actions.agree_to_policies(alice, version=1)
    event = Event.objects.get(verb="policies_agreed")
    assert (event.by, event.owner) == (alice, alice)


# Pages -----------------------------------------------------------------------------------


def test_everybody_reads_every_version(admin, client):
    publish(admin)
    assert "mint currency" in client.get("/policies/").content.decode()
    old = client.get("/policies/1/").content.decode()
    assert "no longer holds" in old
    assert client.get("/policies/3/").status_code == 404


def test_the_versions_tell_who_agreed_to_which(admin, alice, client):
    UserFactory(suspended=True)
    publish(admin)
    client.force_login(User.objects.get(pk=admin.pk))
    page = client.get("/policies/versions/").content.decode()
    assert "1 person has not agreed to version 2 yet" in page
    assert "asked to agree again" in page


def test_a_new_version_is_looked_at_and_then_published(admin, client):
    client.force_login(admin)
    path = "/policies/versions/new/"
    assert "mine currency" in client.get(path).content.decode()
    written = {"text": NEW, "changes": "Minting.", "asks_again": "on", "made_from": "1"}
    page = client.post(path, {**written, "act": "look"}).content.decode()
    assert "or mint" in page
    assert Policy.objects.count() == 1
    answer = client.post(path, {**written, "act": "publish"})
    assert (answer.status_code, answer.url) == (302, "/policies/versions/")
    assert policies.current().changes == "Minting."


def test_what_is_wrong_stands_beside_the_field_and_nothing_typed_is_lost(admin, client):
    client.force_login(admin)
    path = "/policies/versions/new/"
    answer = client.post(path, {"text": TEXT, "changes": "X.", "made_from": "1", "act": "publish"})
    assert answer.status_code == 422
    assert "word for word" in answer.content.decode()
    publish(admin)
    written = {"text": "Mine.", "changes": "X.", "made_from": "1", "act": "publish"}
    page = client.post(path, written).content.decode()
    assert "Version 2 was published meanwhile" in page
    assert "Mine." in page
    assert 'name="made_from" value="2"' in page


def test_markup_in_the_policies_is_words(admin, client):
    publish(admin, "<script>alert(1)</script> [x](javascript:alert(1))")
    page = client.get("/policies/").content.decode()
    assert "<script>alert" not in page
    assert 'href="javascript:' not in page


# Differences -----------------------------------------------------------------------------


def told(before: str, after: str) -> list[str]:
    return [
        f"{block.kind}: {block.count or ''.join(piece.text for piece in block.pieces)}"
        for block in differences(before, after)
    ]


def test_where_lines_are_wrapped_is_no_difference():
    assert told("one two\nthree", "one\ntwo three") == []


def test_words_that_changed_are_told_apart_within_their_paragraph():
    (block,) = differences("Keep copies of all you have.", "Keep good copies of all you have.")
    assert [(piece.kind, piece.text) for piece in block.pieces][:2] == [
        ("same", "Keep "),
        ("added", "good "),
    ]


def test_another_paragraph_is_one_removed_and_one_added():
    assert told("Cats are fine.", "No dogs please, ever.") == [
        "removed: Cats are fine.",
        "added: No dogs please, ever.",
    ]


def test_items_of_a_list_and_headings_are_paragraphs():
    assert told("## One\n1. a b\n2. c d", "## One\n1. a b\n2. c d\n3. e f") == [
        "folded: 2",
        "same: 2. c d",
        "added: 3. e f",
    ]


def test_what_is_as_before_is_folded():
    many = [f"Paragraph {number}." for number in range(20)]
    after = [*many[:10], "Brand new words here.", *many[10:]]
    assert told("\n\n".join(many), "\n\n".join(after)) == [
        "folded: 9",
        "same: Paragraph 9.",
        "added: Brand new words here.",
        "same: Paragraph 10.",
        "folded: 9",
    ]


def test_the_public_page_compares_nothing(client, admin):
    publish(admin)
    page = client.get("/policies/").text
    assert "<ins>" not in page
    assert 'href="/policies/2/changes/"' in page
    assert "<ins>" in client.get("/policies/2/changes/").text
    assert "It is the first version." in client.get("/policies/1/changes/").text
    assert client.get("/policies/3/changes/").status_code == 404


def test_what_changed_is_worked_out_once(client, admin, monkeypatch):
    publish(admin)
    first = client.get("/policies/2/changes/").text
    monkeypatch.setattr("registration.differences._blocks", None)  # asked again, it would fail
    assert client.get("/policies/2/changes/").text.count("<ins>") == first.count("<ins>") > 0


def test_long_texts_are_compared_within_bounds():
    before = " ".join(f"word{n}" for n in range(20_000))
    after = " ".join(f"word{n}" for n in range(20_001, 0, -1))
    assert [block.kind for block in differences(before, after)] == ["removed", "added"]


def test_many_long_paragraphs_are_compared_within_bounds():
    before = "\n\n".join(" ".join(f"w{n}" for n in range(700)) + f" {p}" for p in range(6))
    after = before.replace("w699", "changed")
    kinds = [block.kind for block in differences(before, after)]
    assert kinds[:2] == ["changed", "changed"]
    assert set(kinds[2:]) == {"removed", "added"}
