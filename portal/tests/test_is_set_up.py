import pytest
from django.core.management import call_command
from django.db import connection

from registration.tests.factories import UserFactory


def refuses() -> None:
    with pytest.raises(SystemExit, match="1"):
        call_command("is_set_up")


@pytest.mark.django_db
def test_without_an_administrator_it_is_not_set_up():
    refuses()


@pytest.mark.django_db
def test_without_the_demo_image_it_is_not_set_up():
    UserFactory(admin=True)
    refuses()


@pytest.mark.django_db
def test_without_its_tables_it_is_not_set_up():
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'vms'")
    refuses()
