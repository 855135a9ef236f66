"""Forms, questions, selections and small tools, in a real browser."""

import subprocess

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.journeys]

KILL = (
    '<form id="kill" method="post" action="/kill/" data-confirm-title="Kill alpha?"'
    ' data-confirm-action="Kill it"><button type="submit">Kill</button></form>'
)
ROWS = "".join(
    f'<tr id="r{n}" data-verbs="{verbs}"><td><input type="checkbox" name="vm" value="{n}"'
    f' form="bulk" aria-label="{n}"></td></tr>'
    for n, verbs in enumerate(["kill", "kill shut_down", "kill", "", "kill"])
)
BULK = (
    '<form id="bulk" method="post" action="/bulk/" data-bulk-bar><span data-bulk-count></span>'
    '<button name="verb" value="kill" data-bulk="kill">Kill</button>'
    '<button name="verb" value="shut_down" data-bulk="shut_down">Shut down</button></form>'
    f"<table><thead><tr><th><input type=checkbox data-select-all></th></tr></thead>{ROWS}</table>"
)


def test_a_question_is_asked_and_the_focus_returns(site, page):
    page.goto(site.show(KILL))
    page.get_by_role("button", name="Kill").click()
    dialog = page.get_by_role("dialog", name="Kill alpha?")
    expect(dialog).to_be_visible()
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("button", name="Kill")).to_be_focused()
    assert site.posts == []


def test_a_yes_posts_once(site, page):
    site.pages["/kill/"] = "done"
    page.goto(site.show(KILL))
    page.get_by_role("button", name="Kill").click()
    page.get_by_role("button", name="Kill it").click()
    page.wait_for_url("**/kill/")
    assert [path for path, _ in site.posts] == ["/kill/"]


def test_a_name_must_be_typed_where_that_is_asked(site, page):
    page.goto(
        site.show(
            KILL.replace(" data-confirm-action", ' data-confirm-type="alpha" data-confirm-action')
        )
    )
    page.get_by_role("button", name="Kill").click()
    yes = page.get_by_role("button", name="Kill it")
    expect(yes).to_be_disabled()
    page.keyboard.type("alpha")
    expect(yes).to_be_enabled()


def test_without_script_the_form_simply_posts(site, browser):
    site.pages["/kill/"] = "done"
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(site.show(KILL + BULK))
    expect(page.get_by_text("Shut down")).to_be_visible()
    page.locator("#kill button").click()
    page.wait_for_url("**/kill/")
    context.close()
    assert [path for path, _ in site.posts] == ["/kill/"]


def test_an_answer_takes_its_place_and_a_refusal_shows_there(site, page):
    form = '<form method="post" action="/act/" data-swap="#panel"><button>Act</button></form>'
    page.goto(site.show(f'<div id="panel">old {form}</div>'))
    site.pages["/act/"] = (422, f'<div id="panel">You may not. {form}</div>')
    page.get_by_role("button", name="Act").click()
    expect(page.locator("#panel")).to_contain_text("You may not.")
    site.pages["/act/"] = site.pages["/"].replace("old ", "new ")
    page.get_by_role("button", name="Act").click()
    expect(page.locator("#panel")).to_contain_text("new")
    assert page.url == site.url + "/"


def test_a_broken_answer_is_said(site, page):
    page.goto(
        site.show(
            '<form method="post" action="/act/" data-swap="#content"><button>Act</button></form>'
        )
    )
    site.pages["/act/"] = (500, "")
    page.get_by_role("button", name="Act").click()
    expect(page.locator("#messages")).to_contain_text("That did not work (500)")


def test_a_second_press_posts_nothing(site, page):
    page.goto(
        site.show('<form method="post" action="/slow/" target="_blank"><button>Go</button></form>')
    )
    site.pages["/slow/"] = "done"
    with page.context.expect_page():
        page.get_by_role("button", name="Go").dblclick()
    assert len(site.posts) == 1


def test_a_selection_says_what_it_is_good_for(site, page):
    page.goto(site.show(BULK))
    bar = page.locator("#bulk")
    expect(bar).to_be_hidden()
    page.get_by_label("0", exact=True).check()
    page.get_by_label("4", exact=True).click(modifiers=["Shift"])
    expect(bar).to_contain_text("5 selected")
    expect(page.locator("[data-bulk=kill]")).to_contain_text("Applies to 4 of 5 selected")
    expect(page.locator("[data-bulk=shut_down]")).to_contain_text("Applies to 1 of 5 selected")
    page.get_by_label("1", exact=True).uncheck()
    expect(page.locator("[data-bulk=shut_down]")).to_be_disabled()
    site.pages["/bulk/"] = "done"
    page.locator("[data-bulk=kill]").click()
    page.wait_for_url("**/bulk/")
    assert site.posts == [("/bulk/", {"vm": ["0", "2", "3", "4"], "verb": ["kill"]})]


def test_a_key_made_in_the_browser_is_one_that_openssh_reads(site, page, tmp_path):
    page.goto(site.show(
        '<textarea id="line"></textarea><button type="button" data-keygen'
        ' data-keygen-target="#line" data-keygen-comment="alice" hidden>Make one</button>'
    ))  # fmt: skip
    with page.expect_download() as download:
        page.get_by_role("button", name="Make one").click()
    assert download.value.suggested_filename == "portal_ed25519"
    file = tmp_path / "key"
    download.value.save_as(file)
    file.chmod(0o600)
    said = subprocess.run(
        ["ssh-keygen", "-y", "-f", file], capture_output=True, text=True, check=True
    )
    assert page.locator("#line").input_value() == said.stdout.strip()
    expect(page.get_by_role("status").filter(has_text="Your key pair is ready")).to_be_visible()


def test_colours_are_chosen_and_kept(site, page):
    page.goto(site.show(""))
    theme = page.locator("html")
    button = page.locator("[data-theme-toggle]")
    expect(theme).to_have_attribute("data-bs-theme", "light")
    button.click()
    button.click()
    expect(theme).to_have_attribute("data-bs-theme", "dark")
    page.reload()
    expect(theme).to_have_attribute("data-bs-theme", "dark")


def test_a_log_shows_colours_and_never_markup(site, page):
    site.pages["/log/"] = "\x1b[31mred\x1b[0m <b>bold</b>"
    page.goto(site.show('<pre data-console-log data-src="/log/"></pre>'))
    expect(page.locator("pre")).to_have_text("red <b>bold</b>")
    expect(page.locator("pre .fg-1")).to_have_text("red")
    expect(page.locator("pre b")).to_have_count(0)
