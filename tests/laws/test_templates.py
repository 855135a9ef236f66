"""Laws of every template: what the strict policy forbids is not written at all."""

import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
#: Mails have no policy of ours, and mail programs read no style sheets.
PAGES = sorted(
    path for path in (CHECKOUT / "templates").rglob("*.html") if "email" not in path.parts
)
SCRIPTS = sorted((CHECKOUT / "static" / "js").glob("*.js"))

FORBIDDEN = {
    "a style attribute": re.compile(r"<[^>]*\sstyle\s*="),
    "a style element": re.compile(r"<style\b"),
    "a handler attribute": re.compile(r"<[^>]*\son[a-z]+\s*=", re.IGNORECASE),
    "a script of its own": re.compile(r"<script(?![^>]*\bsrc=)"),
    "a script from elsewhere": re.compile(r"""<(?:script|link|img)[^>]*\b(?:src|href)="https?:"""),
    "a javascript: address": re.compile(r"javascript:", re.IGNORECASE),
    "text that is not escaped": re.compile(r"\|\s*safe\b|\{%\s*autoescape\s+off"),
}
OF_SCRIPTS = {
    "code from text": re.compile(r"\beval\(|new Function\("),
    "a document written to": re.compile(r"document\.write\("),
}


def name(path: Path) -> str:
    return str(path.relative_to(CHECKOUT))


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_a_template_holds_only_markup(path):
    text = path.read_text()
    for what, pattern in FORBIDDEN.items():
        assert not (found := pattern.search(text)), f"{what}: {found[0]!r}"


@pytest.mark.parametrize("path", [p for p in PAGES if p.name.startswith("_")], ids=name)
def test_a_fragment_names_its_inputs_in_its_first_line(path):
    first = path.read_text().splitlines()[0]
    assert re.match(r"(\{% load [\w ]+ %\})?\{# (Inputs?|No inputs)\b", first), first


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_a_form_that_posts_carries_its_token(path):
    for form in re.findall(r"<form\b[^>]*>.*?</form>", path.read_text(), re.DOTALL):
        if re.search(r'method="post"', form, re.IGNORECASE):
            assert "{% csrf_token %}" in form, form[:120]


@pytest.mark.parametrize("path", SCRIPTS, ids=name)
def test_a_script_makes_no_code_from_text(path):
    text = path.read_text()
    for what, pattern in OF_SCRIPTS.items():
        assert not pattern.search(text), what
