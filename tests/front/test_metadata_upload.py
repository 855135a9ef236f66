"""The page that takes metadata documents, with the script that has each checked at once."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.template.loader import render_to_string
from django.urls import reverse
from playwright.sync_api import Page, expect

from marketplace.carrying import PASTED, Load
from marketplace.forms.uploads import AddressForm
from tests.front.site import PERSON, Site

pytestmark = pytest.mark.journeys

BROKEN = b"<rdf:RDF>\n<oops"


@pytest.fixture
def upload(site: Site, page: Page):
    """The page as it is opened; what it posts is answered with what ``answer`` takes."""
    path = reverse("marketplace:upload")
    context = {
        "user": PERSON, "load": Load(by=None), "address_form": AddressForm(), "csrf_token": "x",
        "most_documents": 50, "most_bytes": 1_700_000,
    }  # fmt: skip
    site.pages[path] = render_to_string("marketplace/upload.html", context)
    page.goto(site.url + path)

    def answer(load: Load) -> None:
        site.pages[path] = render_to_string("marketplace/_upload_documents.html", {"load": load})

    return answer


def test_a_document_that_was_cut_when_it_was_copied_is_told_where(page: Page, upload):
    load = Load(by=None)
    load.take(PASTED, BROKEN)
    upload(load)
    page.get_by_text("Paste a document").click()
    text = page.get_by_label("The whole document, with its signature")
    text.fill(BROKEN.decode())
    fault = page.locator("[data-document]")
    expect(fault).to_contain_text("Line 2")
    fault.get_by_role("button", name="Remove").click()
    expect(fault).to_have_count(0)
    expect(text).to_have_value("")


def test_each_file_has_a_line_though_none_can_be_carried(page: Page, upload):
    load = Load(by=None)
    for name in ("one.xml", "two.xml"):
        load.take_file(SimpleUploadedFile(name, b""))
    upload(load)
    page.get_by_label("Choose metadata files").set_input_files(
        {"name": "one.xml", "mimeType": "text/xml", "buffer": b""}
    )
    expect(page.locator("[data-document]")).to_have_count(2)
