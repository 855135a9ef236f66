"""A form that is kept while one types says what is wrong with it now, and not what was."""

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.journeys]


def field(name: str, value: str) -> str:
    return (
        f'<label for="id_{name}">{name}</label>'
        f'<input id="id_{name}" name="{name}" value="{value}" class="form-control is-invalid"'
        f' aria-invalid="true" aria-describedby="id_{name}_error">'
        f'<div id="id_{name}_error" class="invalid-feedback">{name} is wrong.</div>'
    )


def line(name: str) -> str:
    return f'<li><a href="#id_{name}">{name}</a>: wrong.</li>'


FORM = (
    '<form data-keep="/keep/" data-keep-into="#preview">'
    f'<div class="refusal" role="alert"><ul>{line("ports")}{line("title")}</ul></div>'
    f"{field('ports', '99999')}{field('title', '')}<span data-keep-said></span></form>"
    '<section id="preview"></section>'
)


def preview(wrong: str) -> str:
    return f'<section id="preview" data-wrong="{wrong}"></section>'


def test_corrected_fields_are_no_longer_red(site, page):
    page.goto(site.show(FORM))
    ports, title = page.get_by_label("ports"), page.get_by_label("title")
    site.pages["/keep/"] = preview("title")
    ports.fill("22, 80")
    expect(ports).not_to_have_attribute("aria-invalid", "true")
    expect(page.get_by_text("ports is wrong.")).to_have_count(0)
    expect(page.get_by_role("alert").get_by_role("listitem")).to_have_count(1)
    expect(title).to_have_attribute("aria-invalid", "true")
    site.pages["/keep/"] = preview("")
    title.fill("Debian")
    expect(title).not_to_have_attribute("aria-invalid", "true")
    expect(page.locator(".refusal")).to_have_count(0)
