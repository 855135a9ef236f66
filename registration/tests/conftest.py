from collections.abc import Callable, Iterator

import pytest
from django.core import mail
from django.test import Client

from registration import emails
from registration.models import OutgoingMail, User
from registration.tests.factories import UserFactory


@pytest.fixture
def admin(db) -> User:
    return UserFactory(admin=True, username="boss", email="boss@example.org")


@pytest.fixture
def alice(db) -> User:
    return UserFactory(username="alice", given_name="Alice", family_name="Liddell")


@pytest.fixture
def signed_in() -> Callable[[User], Client]:
    def sign_in(user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return sign_in


@pytest.fixture
def posted(django_capture_on_commit_callbacks) -> Iterator[Callable]:
    """``with posted() as mails:`` runs what waits for the commit, and gives the mails sent.

    What was written before it is forgotten.
    """

    class Posted:
        def __enter__(self):
            OutgoingMail.objects.all().delete()
            self.before = len(mail.outbox)
            self.capture = django_capture_on_commit_callbacks(execute=True)
            self.capture.__enter__()
            self.mails: list = []
            return self.mails

        def __exit__(self, *problem):
            self.capture.__exit__(*problem)
            emails.settle()
            self.mails.extend(mail.outbox[self.before :])

    return Posted
