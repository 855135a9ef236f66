"""Deciding about rows by keys, in a real browser."""

import pytest
from playwright.sync_api import Page, expect

from tests.front.site import Site

pytestmark = [pytest.mark.journeys]


def row(n: int, *, decided: str = "", refusal: str = "") -> str:
    """One line as ``_moderation_acts.html`` makes it, before or after its decision."""
    to_decide = (
        f'<input type="checkbox" name="row" value="{n}" form="bulk" aria-label="Select {n}">'
        f'<form method="post" action="/{n}/yes/" data-swap="#row-{n}">'
        '<button data-act="yes">Approve</button></form>'
        '<details class="menu" data-act="no"><summary>Reject…</summary><div class="menu-list">'
        f'<form method="post" action="/{n}/no/" data-swap="#row-{n}">'
        '<select name="template" data-fills="reason" aria-label="Often given">'
        '<option value="">Choose</option>'
        '<option value="1" data-text="Who are you?">Who?</option></select>'
        '<textarea name="reason" maxlength="500" aria-label="Why?"></textarea>'
        '<button type="submit">Reject</button></form></div></details>'
    )
    undo = (
        f'<form method="post" action="/{n}/undo/" data-swap="#row-{n}">'
        '<button data-act="undo">Undo</button></form>'
    )
    told = f'<div class="refusal">{refusal}</div>' if refusal else ""
    return (
        f'<tr id="row-{n}" tabindex="-1" data-row data-verbs="yes no"><td>{n} {decided}{told}'
        f"{undo if decided else to_decide}</td></tr>"
    )


KEYS = (
    '<button type="button" data-keys-open hidden>Keys</button><dialog id="keys">'
    '<label><input type="checkbox" data-keys-switch checked> Use these keys</label></dialog>'
)
BULK = (
    '<form id="bulk" method="post" action="/bulk/" data-bulk-bar><span data-bulk-count></span>'
    '<button name="verb" value="yes" data-bulk="yes">Approve all</button>'
    '<details class="menu"><summary>Quota…</summary><div class="menu-list">'
    '<input type="number" name="machines" aria-label="Machines">'
    '<button type="submit" name="verb" value="yes with" data-bulk="yes">With this</button>'
    "</div></details></form>"
)


@pytest.fixture
def queue(site: Site, page: Page) -> Page:
    for n in range(4):
        site.pages[f"/{n}/yes/"] = row(n, decided="approved")
        site.pages[f"/{n}/no/"] = row(n, decided="rejected")
        site.pages[f"/{n}/undo/"] = row(n)
    table = f"<table>{''.join(row(n) for n in range(4))}</table>"
    page.goto(site.show(f"{KEYS}<div data-queue>{BULK}{table}</div>"))
    return page


def test_j_and_k_move_a_focus_that_is_seen(queue):
    for key, n in (("j", 0), ("j", 1), ("j", 2), ("k", 1)):
        queue.keyboard.press(key)
        expect(queue.locator(f"#row-{n}")).to_be_focused()


def test_a_approves_and_goes_on_and_u_comes_back(queue, site):
    queue.keyboard.press("j")
    queue.keyboard.press("a")
    expect(queue.locator("#row-1")).to_be_focused()
    expect(queue.locator("#row-0")).to_contain_text("approved")
    queue.keyboard.press("u")
    expect(queue.locator("#row-0 [data-act=yes]")).to_be_visible()
    assert [path for path, _ in site.posts] == ["/0/yes/", "/0/undo/"]


def test_r_opens_the_rejection_with_the_cursor_in_it(queue, site):
    queue.keyboard.press("j")
    queue.keyboard.press("r")
    reason = queue.locator("#row-0 textarea")
    expect(reason).to_be_focused()
    queue.keyboard.type("jakux?")
    expect(reason).to_have_value("jakux?")
    queue.keyboard.press("Control+Enter")
    expect(queue.locator("#row-0")).to_contain_text("rejected")
    expect(queue.locator("#row-1")).to_be_focused()
    [(path, fields)] = site.posts
    assert (path, fields["reason"]) == ("/0/no/", ["jakux?"])


def test_a_text_given_often_takes_no_place_of_ones_own_words(queue):
    queue.keyboard.press("j")
    queue.keyboard.press("r")
    reason = queue.locator("#row-0 textarea")
    queue.locator("#row-0 select").select_option("1")
    expect(reason).to_have_value("Who are you?")
    reason.fill("Sorry.")
    queue.locator("#row-0 select").select_option("")
    queue.locator("#row-0 select").select_option("1")
    expect(reason).to_have_value("Sorry.\nWho are you?")


def test_a_refused_decision_keeps_the_focus_where_it_was(queue, site):
    site.pages["/1/yes/"] = (422, row(1, refusal="Somebody was faster."))
    for key in "jja":
        queue.keyboard.press(key)
    expect(queue.locator("#row-1 .refusal")).to_be_visible()
    expect(queue.locator("#row-1")).to_be_focused()


def test_a_pressed_button_leaves_the_focus_on_its_row(queue):
    queue.locator("#row-2 [data-act=yes]").press("Enter")
    expect(queue.locator("#row-2")).to_contain_text("approved")
    expect(queue.locator("#row-2:focus-within")).to_be_visible()


def test_x_ticks_and_enter_decides_about_nothing_by_accident(queue, site):
    for key in "jxjx":
        queue.keyboard.press(key)
    expect(queue.locator("[data-bulk-count]")).to_have_text("2 selected")
    queue.locator("#row-1 input").press("Enter")
    expect(queue.locator("[data-bulk-count]")).to_have_text("2 selected")
    assert site.posts == []


def test_enter_in_a_quota_presses_the_button_beside_it(queue, site):
    site.pages["/bulk/"] = "done"
    queue.keyboard.press("j")
    queue.keyboard.press("x")
    queue.get_by_text("Quota…").click()
    queue.get_by_label("Machines").fill("7")
    queue.get_by_label("Machines").press("Enter")
    queue.wait_for_url("**/bulk/")
    [(_, fields)] = site.posts
    assert (fields["verb"], fields["machines"]) == (["yes with"], ["7"])


def test_the_keys_can_be_switched_off_and_stay_so(queue):
    queue.keyboard.press("?")
    box = queue.get_by_label("Use these keys")
    expect(box).to_be_visible()
    box.uncheck()
    queue.keyboard.press("Escape")
    queue.keyboard.press("j")
    expect(queue.locator("#row-0")).not_to_be_focused()
    queue.reload()
    queue.keyboard.press("j")
    expect(queue.locator("#row-0")).not_to_be_focused()
    expect(queue.get_by_role("button", name="Keys")).to_be_visible()


def test_a_key_with_a_modifier_is_the_browsers(queue, site):
    queue.keyboard.press("j")
    queue.keyboard.press("Alt+a")
    expect(queue.locator("#row-0")).to_be_focused()
    assert site.posts == []


def test_the_undo_in_the_message_is_sent_whole(queue, site):
    decided = (
        '<template data-messages><div id="messages"><div class="message">Approved.'
        '<form method="post" action="/bulk/"><input type="hidden" name="row" value="2">'
        '<button name="verb" value="back">Take back</button></form></div></div></template>'
    )
    site.pages["/2/yes/"] = row(2, decided="approved") + decided
    site.pages["/bulk/"] = "done"
    queue.locator("#row-2 [data-act=yes]").click()
    queue.locator("#messages").get_by_role("button", name="Take back").click()
    queue.wait_for_url("**/bulk/")
    [_, (path, fields)] = site.posts
    assert (path, fields["row"], fields["verb"]) == ("/bulk/", ["2"], ["back"])
