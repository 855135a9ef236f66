"""Groups: who makes, keeps, joins and leaves them; and that nobody learns who has an account."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from core.errors import Refused
from core.models import Event
from registration import actions
from registration.actions import invitations
from registration.apps import _may_see_group
from registration.models import Group, Invitation, Membership, Role
from registration.states import AccountState
from registration.tests.factories import GroupFactory, MembershipFactory, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def bob(db):
    return UserFactory(username="bob")


@pytest.fixture
def group(alice):
    return actions.create_group(owner=alice, name="Galaxies", description="Fits of galaxies.")


def refusal(act, *args, **kwargs) -> Refused:
    with pytest.raises(Refused) as refused:
        act(*args, **kwargs)
    return refused.value


def join(group, user, role=Role.MEMBER):
    return MembershipFactory(group=group, user=user, role=role)


def link_in(mail) -> str:
    return re.search(r"(/groups/join/[\w-]+/)", mail.body)[1]


def test_who_makes_a_group_owns_it(alice, group):
    assert list(Group.objects.of(alice).values_list("name", "role", "size")) == [
        ("Galaxies", "owner", 1)
    ]
    assert Event.objects.of(group.uuid).get().detail["after"]["name"] == "Galaxies"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("ab", "group_name_invalid"),
        ("Claim at https://evil.example", "group_name_invalid"),
        ("WWW.evil.example", "group_name_invalid"),
        ("x" * 41, "group_name_invalid"),
        (" \n\t ", "group_name_invalid"),
        ("GALAXIES", "group_name_taken"),
    ],
)
def test_names_that_no_group_gets(bob, group, name, code):
    refused = refusal(actions.create_group, owner=bob, name=name)
    assert (refused.code, refused.field) == (code, "name")


def test_a_name_is_one_line_without_marks_that_hide_letters(bob):
    with pytest.raises(Refused) as refused:
        actions.create_group(owner=bob, name="dark \u202e matter")
    assert refused.value.code == "group_name_invalid"
    made = actions.create_group(owner=bob, name="  dark \t matter\n ")
    assert made.name == "dark matter"


def test_twenty_owned_groups_are_enough(bob):
    MembershipFactory.create_batch(20, user=bob, role=Role.OWNER)
    assert refusal(actions.create_group, owner=bob, name="One more").code == "too_many_groups"


def test_an_owner_renames_and_the_change_is_told(alice, bob, group):
    GroupFactory(name="Quasars")
    actions.change_group(group, by=alice, name="galaxies", description="")
    group.refresh_from_db()
    assert (group.name, group.description) == ("galaxies", "")
    changed = Event.objects.get(verb="group_changed").detail
    assert changed["before"]["name"] == "Galaxies"
    refused = refusal(actions.change_group, group, by=alice, name="quasars")
    assert refused.code == "group_name_taken"


def test_a_member_decides_nothing_and_the_denial_is_recorded(group, bob):
    carol = join(group, UserFactory()).user
    join(group, bob)
    acts = [
        lambda: actions.change_group(group, by=bob, name="Mine now"),
        lambda: actions.delete_group(group, by=bob, typed="Galaxies"),
        lambda: actions.invite(group, by=bob, whom="x@example.org"),
        lambda: actions.set_role(group, bob, role=Role.OWNER, by=bob),
        lambda: actions.remove_member(group, carol, by=bob),
    ]
    assert {refusal(act).code for act in acts} == {"not_owner"}
    denials = Event.objects.of(group.uuid).filter(outcome="denied", by=bob)
    assert denials.count() == len(acts)
    assert group.memberships.count() == 3


def test_a_group_is_deleted_by_who_types_its_name(alice, group):
    refused = refusal(actions.delete_group, group, by=alice, typed="galaxies")
    assert (refused.code, refused.field) == ("name_not_typed", "typed")
    actions.delete_group(group, by=alice, typed="Galaxies")
    assert not Group.objects.exists()
    assert Event.objects.get(verb="group_deleted").detail["before"]["people"] == ["alice"]


def test_an_invitation_by_user_name_is_mailed_and_accepted(posted, alice, bob, group):
    with posted() as mails:
        invitation = actions.invite(group, by=alice, whom="BOB")
    assert [mail.to for mail in mails] == [["bob@example.org"]]
    assert "Galaxies" in mails[0].subject
    assert "/groups/\n" in mails[0].body
    assert list(Invitation.objects.to(bob)) == [invitation]
    actions.accept_invitation(invitation, by=bob)
    assert group.memberships.get(user=bob).role == Role.MEMBER
    assert not Invitation.objects.exists()
    assert Event.objects.get(verb="group_joined").owner == bob


def test_an_address_is_treated_the_same_whether_or_not_it_has_an_account(posted, alice, bob, group):
    join(group, bob)  # even of a member, nothing is said
    said = []
    for address in ("bob@example.org", "nobody@example.org"):
        with posted() as mails:
            invitation = actions.invite(group, by=alice, whom=address)
        [mail] = mails
        assert mail.to == [address]
        assert invitation.user is None
        body = mail.body.replace(link_in(mail), "LINK")
        said.append((mail.subject, body))
    assert said[0] == said[1]


def test_an_address_waits_for_the_account_that_confirms_it(alice, group):
    invitation = actions.invite(group, by=alice, whom="Dora@Example.org")
    dora = UserFactory(username="dora", email="dora@example.org", email_confirmed_at=None)
    assert not Invitation.objects.to(dora).exists()
    dora.email_confirmed_at = timezone.now()
    dora.save()
    assert list(Invitation.objects.to(dora)) == [invitation]
    actions.accept_invitation(invitation, by=dora)
    assert group.memberships.filter(user=dora).exists()


def test_somebody_elses_invitation_is_none_of_mine(alice, bob, group):
    invitation = actions.invite(group, by=alice, whom="other@example.org")
    assert refusal(actions.accept_invitation, invitation, by=bob).code == "invitation_over"
    assert refusal(actions.decline_invitation, invitation, by=bob).code == "invitation_over"
    assert Invitation.objects.get() == invitation


@pytest.mark.parametrize(
    ("whom", "code"),
    [
        ("nobody_here", "nobody_of_that_name"),
        ("", "nobody_of_that_name"),
        ("a@b@c", "email_invalid"),
        ("@example.org", "email_invalid"),
        ("alice", "already_member"),
    ],
)
def test_whom_one_cannot_invite(alice, group, whom, code):
    refused = refusal(actions.invite, group, by=alice, whom=whom)
    assert refused.code == code


@pytest.mark.parametrize("state", ["applied", "confirmed", "suspended", "closed", "rejected"])
def test_a_user_name_that_is_not_let_in_is_as_nobodys(alice, group, state):
    UserFactory(username="erik", **{state: True})
    assert refusal(actions.invite, group, by=alice, whom="erik").code == "nobody_of_that_name"


def test_nobody_is_invited_twice_until_the_first_is_over(alice, bob, group):
    for whom in ("bob", "x@example.org"):
        actions.invite(group, by=alice, whom=whom)
        assert refusal(actions.invite, group, by=alice, whom=whom.upper()).code == (
            "already_invited"
        )
    with time_machine.travel(timezone.now() + invitations.INVITED_FOR + timedelta(hours=1)):
        assert not Invitation.objects.to(bob).exists()
        actions.invite(group, by=alice, whom="bob")
        assert Invitation.objects.to(bob).count() == 1


def test_invitations_are_braked_as_mails_to_strangers_are(alice, group):
    for number in range(invitations.MOST_SENT):
        actions.invite(group, by=alice, whom=f"u{number}@example.org")
    refused = refusal(actions.invite, group, by=alice, whom="more@example.org")
    assert refused.code == "too_many_attempts"


def test_nobody_is_mailed_without_end_by_inviting_and_withdrawing(alice, group):
    for _ in range(5):
        invitation = actions.invite(group, by=alice, whom="stranger@example.net")
        actions.withdraw_invitation(invitation, by=alice)
    with pytest.raises(Refused) as refused:
        actions.invite(group, by=alice, whom="stranger@example.net")
    assert (refused.value.code, refused.value.field) == ("too_many_mails", "whom")


def test_what_a_group_is_about_goes_to_people_of_the_portal_alone(alice, bob, group, posted):
    with posted() as mails:
        actions.invite(group, by=alice, whom="bob")
        actions.invite(group, by=alice, whom="stranger@example.net")
        actions.invite(group, by=alice, whom=UserFactory(username="dora").email)
    told = ["Fits of galaxies" in mail.body for mail in mails]
    assert told == [True, False, False]


def test_an_invitation_can_be_declined_and_withdrawn(alice, bob, group):
    actions.decline_invitation(actions.invite(group, by=alice, whom="bob"), by=bob)
    assert not Invitation.objects.exists()
    again = actions.invite(group, by=alice, whom="bob")
    actions.withdraw_invitation(again, by=alice)
    assert refusal(actions.accept_invitation, again, by=bob).code == "invitation_over"


def test_accepting_twice_changes_nothing_the_second_time(alice, bob, group):
    invitation = actions.invite(group, by=alice, whom="bob")
    for _ in range(2):
        actions.accept_invitation(invitation, by=bob)
    assert group.memberships.filter(user=bob).count() == 1
    assert Event.objects.filter(verb="group_joined").count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.slow
def test_invited_and_accepted_many_times_at_once_is_once(alice, bob, group):
    def at_once(act):
        def run(_):
            try:
                act()
            except Refused as refused:
                return refused.code
            finally:
                connection.close()
            return "done"

        with ThreadPoolExecutor(4) as threads:
            return sorted(threads.map(run, range(4)))

    said = at_once(lambda: actions.invite(group, by=alice, whom="bob"))
    assert said == ["already_invited"] * 3 + ["done"]
    invitation = Invitation.objects.get()
    assert at_once(lambda: actions.accept_invitation(invitation, by=bob)) == ["done"] * 4
    assert Membership.objects.filter(user=bob).count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.slow
def test_two_owners_who_leave_at_once_leave_one_behind(alice, bob, group):
    join(group, bob, Role.OWNER)

    def leave(who):
        try:
            actions.leave_group(group, by=who)
        except Refused as refused:
            return refused.code
        finally:
            connection.close()
        return "left"

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(leave, [alice, bob])) == ["last_owner", "left"]
    assert group.memberships.filter(role=Role.OWNER).count() == 1


def test_the_last_owner_stays_until_another_is_made(alice, bob, group):
    join(group, bob)
    for act in (
        lambda: actions.leave_group(group, by=alice),
        lambda: actions.remove_member(group, alice, by=alice),
        lambda: actions.set_role(group, alice, role=Role.MEMBER, by=alice),
    ):
        assert refusal(act).code == "last_owner"
    actions.set_role(group, bob, role=Role.OWNER, by=alice)
    actions.leave_group(group, by=alice)
    assert list(Group.objects.of(bob).values_list("role", "size")) == [("owner", 1)]
    assert not Group.objects.of(alice).exists()


def test_an_owner_whose_account_is_closed_does_not_count_as_one(alice, bob, group):
    join(group, bob, Role.OWNER)
    bob.move(AccountState.CLOSED)
    assert refusal(actions.leave_group, group, by=alice).code == "last_owner"


def test_an_administrator_finds_a_new_owner_for_a_group_without_one(alice, admin, bob, group):
    join(group, bob)
    alice.move(AccountState.CLOSED)
    actions.set_role(group, bob, role=Role.OWNER, by=admin)
    actions.remove_member(group, alice, by=admin)
    assert Group.objects.of(bob).get().role == "owner"


def test_who_may_hear_of_changes(alice, bob, admin, group):
    key = str(group.uuid)
    assert _may_see_group(alice, key)
    assert _may_see_group(admin, key)
    assert not _may_see_group(bob, key)
    actions.invite(group, by=alice, whom="bob")
    assert _may_see_group(bob, key)
    assert set(group.audience()) == {alice.pk, bob.pk}


# Pages -------------------------------------------------------------------------------


def test_a_group_is_made_on_its_page_and_shown(alice, signed_in):
    client = signed_in(alice)
    assert "You are in no group" in client.get("/groups/").text
    refused = client.post("/groups/new/", {"name": "ab"})
    assert refused.status_code == 422
    assert "3 to 40 characters" in refused.text
    made = client.post("/groups/new/", {"name": "Galaxies", "description": "<b>"}, follow=True)
    assert "The group Galaxies is made" in made.text
    assert "&lt;b&gt;" in made.text
    assert "Galaxies" in client.get("/groups/").text


def every_path(group):
    base = f"/groups/{group.uuid}/"
    invitation = group.invitations.first()
    person = group.memberships.first().user.uuid
    return [
        ("get", base), ("get", f"{base}change/"), ("post", f"{base}change/"),
        ("post", f"{base}delete/"), ("post", f"{base}leave/"), ("post", f"{base}invite/"),
        *[("post", f"{base}people/{person}/{verb}/") for verb in ("promote", "demote", "remove")],
        ("post", f"{base}invitations/{invitation.uuid}/withdraw/"),
        ("post", f"/groups/invitations/{invitation.uuid}/accept/"),
    ]  # fmt: skip


def test_to_a_stranger_no_part_of_a_group_exists(alice, bob, group, signed_in):
    actions.invite(group, by=alice, whom="x@example.org")
    client = signed_in(bob)
    for method, path in every_path(group):
        form = {"typed": "Galaxies", "whom": "bob", "name": "Mine"}
        assert getattr(client, method)(path, form).status_code == 404, path
    assert "Galaxies" not in client.get("/groups/?all=1").text
    assert Group.objects.get().name == "Galaxies"
    assert Invitation.objects.count() == 1


def test_a_member_sees_who_is_in_it_and_nothing_to_decide(group, bob, alice, signed_in):
    join(group, bob)
    actions.invite(group, by=alice, whom="secret@example.org")
    page = signed_in(bob).get(group.get_absolute_url()).text
    assert "Alice Liddell" in page
    assert "secret@example.org" not in page
    assert "Invite somebody" not in page
    assert alice.email not in page
    refused = signed_in(bob).post(f"{group.get_absolute_url()}delete/", {"typed": "Galaxies"})
    assert refused.status_code == 302
    assert Group.objects.exists()


def test_an_administrator_sees_all_groups(admin, group, signed_in):
    client = signed_in(admin)
    assert "Galaxies" not in client.get("/groups/").text
    assert "Galaxies" in client.get("/groups/?all=1&q=gal").text
    assert "you see it as an administrator" in client.get(group.get_absolute_url()).text


def test_who_is_not_let_in_any_more_is_shown_as_such(alice, group, signed_in):
    join(group, UserFactory(given_name="Closed", closed=True))
    page = signed_in(alice).get(group.get_absolute_url()).text
    assert 'data-state="closed"' in page


def test_an_owner_invites_promotes_and_removes_on_the_page(alice, bob, group, signed_in):
    client, base = signed_in(alice), group.get_absolute_url()
    refused = client.post(f"{base}invite/", {"whom": "nobody_here"})
    assert refused.status_code == 422
    assert "Nobody here has the user name" in refused.text
    assert "bob is invited" in client.post(f"{base}invite/", {"whom": "bob"}, follow=True).text
    page = signed_in(bob).get("/groups/").text
    assert "invites you to the group" in page
    signed_in(bob).post(f"/groups/invitations/{Invitation.objects.get().uuid}/accept/")
    client.post(f"{base}people/{bob.uuid}/promote/")
    assert group.memberships.get(user=bob).role == Role.OWNER
    client.post(f"{base}people/{bob.uuid}/demote/")
    client.post(f"{base}people/{bob.uuid}/remove/")
    assert not group.memberships.filter(user=bob).exists()
    assert client.post(f"{base}people/{bob.uuid}/remove/").status_code == 404
    assert client.post(f"{base}people/{alice.uuid}/crown/").status_code == 404


def test_the_link_in_a_mail_is_looked_at_without_harm_and_works_once(
    posted, alice, bob, group, client, signed_in
):
    with posted() as mails:
        actions.invite(group, by=alice, whom="robert@home.example")
    link = link_in(mails[0])
    assert client.get(link).status_code == 200
    bobs = signed_in(bob)  # has the account under another address
    for _ in range(2):
        assert "invites you" in bobs.get(link).text
    assert not group.memberships.filter(user=bob).exists()
    assert bobs.post(link, {"answer": "maybe"}).status_code == 404
    assert bobs.post(link, {"answer": "accept"}).url == group.get_absolute_url()
    assert group.memberships.filter(user=bob).exists()
    over = bobs.get(link)
    assert over.status_code == 404
    assert "This invitation is over" in over.text


def test_the_token_of_a_link_is_nowhere_kept(posted, alice, group):
    with posted() as mails:
        actions.invite(group, by=alice, whom="x@example.org")
    token = link_in(mails[0]).split("/")[3]
    invitation = Invitation.objects.get()
    assert token not in str([getattr(invitation, f.name) for f in invitation._meta.fields])
    assert token not in str(list(Event.objects.values_list("detail", flat=True)))
    assert actions.find_invitation(token) == invitation
    assert actions.find_invitation("") is None


def test_lists_cost_the_same_for_few_and_for_many(admin, signed_in):
    client = signed_in(admin)
    group = actions.create_group(owner=admin, name="Everything")
    counts = []
    for number in (2, 28):
        MembershipFactory.create_batch(number, user=admin)
        MembershipFactory.create_batch(number, group=group)
        for at in range(number):
            whom = f"u{number}-{at}@example.org"
            Invitation.objects.create(
                group=group, email=whom, invited_by=UserFactory(), expires_at=timezone.now()
            )
        spent = []
        for path in ("/groups/", "/groups/?all=1", group.get_absolute_url()):
            with CaptureQueriesContext(connection) as queries:
                assert client.get(path).status_code == 200
            spent.append(len(queries))
        counts.append(spent)
    assert counts[0] == counts[1]


def test_a_visitor_with_the_link_learns_who_invites_and_where_to_go(client, posted, alice, group):
    with posted() as mails:
        actions.invite(group, by=alice, whom="x@example.org")
    link = link_in(mails[0])
    page = client.get(link)
    assert page.status_code == 200
    assert "Galaxies" in page.text
    assert alice.get_full_name() in page.text
    assert f'href="/login/?next={link}"' in page.text
    assert f'href="/register/?next={link}"' in page.text
    assert client.post(link, {"answer": "accept"}).url == f"/login/?next={link}"
    assert client.get("/groups/join/nothing/").status_code == 404
