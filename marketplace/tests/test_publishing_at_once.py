"""Several who publish, confirm and upload in the same moment."""

from datetime import timedelta

import pytest
from django.utils import timezone

from marketplace.actions import confirming
from marketplace.judging import submit
from marketplace.models import Entry, Pending
from marketplace.publishing import publish_document
from marketplace.tests.publishing import signed
from marketplace.tests.test_confirming import link_sent_to
from registration.tests.test_at_once import at_once

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow, pytest.mark.at_once]

NOW = timezone.now().replace(microsecond=0) - timedelta(days=1)


def publishing(*documents: bytes) -> list[str]:
    return at_once(*(lambda xml=xml: publish_document(xml, owner=None) for xml in documents))


def test_of_first_words_at_the_same_second_one_is_the_first():
    xmls = [signed(at=NOW, title=f"Number {number}") for number in range(6)]
    assert publishing(*xmls) == ["done", *["taken"] * 5]
    assert Entry.objects.get().is_latest


def test_the_same_document_at_once_is_one_entry():
    xml = signed(at=NOW)
    assert publishing(*[xml] * 6) == ["done"] * 6
    assert Entry.objects.count() == 1


def test_of_first_words_at_several_seconds_the_latest_is_the_last():
    seconds = [NOW + timedelta(seconds=number) for number in range(6)]
    outcome = publishing(*(signed(at=at) for at in seconds))
    assert set(outcome) <= {"done", "older"}
    assert outcome.count("done") == Entry.objects.count()
    assert Entry.objects.get(is_latest=True).created_at == seconds[-1]


def test_of_later_words_the_latest_is_the_last():
    publish_document(signed(at=NOW - timedelta(hours=1)), owner=None)
    seconds = [NOW + timedelta(seconds=number) for number in range(6)]
    outcome = publishing(*(signed(at=at) for at in seconds))
    assert set(outcome) <= {"done", "older"}
    assert outcome.count("done") == Entry.objects.count() - 1
    assert Entry.objects.get(is_latest=True).created_at == seconds[-1]


def test_a_link_that_is_used_in_six_tabs_publishes_once():
    submit(signed(at=NOW), by=None, address="192.0.2.1")
    link = link_sent_to("alice@example.org")
    outcome = at_once(*[lambda: confirming.confirm_document(*link)] * 6)
    assert outcome == ["done", *["link_spent"] * 5]
    assert Entry.objects.count() == 1


def test_yes_and_no_at_once_is_one_of_them():
    for number in range(4):
        submit(signed(f"image {number}".encode(), at=NOW), by=None, address="192.0.2.1")
        link = link_sent_to("alice@example.org")
        outcome = at_once(
            lambda link=link: confirming.confirm_document(*link),
            lambda link=link: confirming.refuse_document(*link),
            lambda link=link: confirming.report_document(*link),
        )
        assert outcome == ["done", "link_spent", "link_spent"]
        pending = Pending.objects.get(uuid=link[0])
        assert Entry.objects.filter(identifier=pending.identifier).exists() == bool(pending.entry)
