"""A key's file that is chosen or dropped is read in the browser; a private one is not sent."""

import pytest
from playwright.sync_api import Page, expect

from registration.tests.test_keys import GOOD, private_pem

pytestmark = [pytest.mark.journeys]

FORM = (
    '<form method="post" enctype="multipart/form-data" action="/add/">'
    '<div data-key-drop="#key"><label>Key <textarea id="key" name="public_key"></textarea></label>'
    '<label>File <input type="file" name="file"></label></div>'
    '<button type="submit">Add</button></form>'
)
#: As a file manager drops it.
DROP = """([name, text]) => {
  const data = new DataTransfer();
  data.items.add(new File([text], name));
  const place = document.querySelector("[data-key-drop]");
  place.dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true}));
}"""


def choose(page: Page, name: str, content: bytes) -> None:
    file = {"name": name, "mimeType": "application/octet-stream", "buffer": content}
    page.get_by_label("File").set_input_files(file)


def nothing_to_send(page: Page) -> bool:
    return page.evaluate("document.querySelector('[type=file]').files.length") == 0


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"], ids=["ssh-keygen", "PowerShell"])
def test_the_text_of_a_chosen_file_is_put_in_the_field(site, page, encoding):
    page.goto(site.show(FORM))
    choose(page, "id_ed25519.pub", f"{GOOD[0]}\r\n".encode(encoding))
    expect(page.get_by_label("Key")).to_have_value(GOOD[0])
    expect(page.get_by_role("status").filter(has_text="id_ed25519.pub is in")).to_be_visible()
    assert nothing_to_send(page)


def test_a_file_can_be_dropped(site, page):
    page.goto(site.show(FORM))
    page.evaluate(DROP, ["id_ed25519.pub", GOOD[0]])
    expect(page.get_by_label("Key")).to_have_value(GOOD[0])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (private_pem().encode(), "It was not sent"),
        (b"PuTTY-User-Key-File-3: ssh-ed25519\n", "It was not sent"),
        (b"x" * 40_000, "too large"),
    ],
)
def test_what_is_no_public_key_stays_on_this_computer(site, page, content, sentence):
    page.goto(site.show(FORM))
    choose(page, "id_ed25519", content)
    expect(page.get_by_role("status").filter(has_text=sentence)).to_be_visible()
    expect(page.get_by_label("Key")).to_have_value("")
    assert nothing_to_send(page)
