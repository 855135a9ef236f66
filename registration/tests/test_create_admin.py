import stat
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from registration.models import User
from registration.tests.factories import UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def home(settings, tmp_path, monkeypatch):
    settings.PORTAL_HOME = tmp_path
    monkeypatch.delenv("PORTAL_ADMIN_PASSWORD", raising=False)
    return tmp_path


def create_admin() -> str:
    out = StringIO()
    call_command("create_admin", stdout=out)
    return out.getvalue()


def test_the_first_administrator_gets_a_password_that_is_kept_in_a_private_file(home):
    said = create_admin()
    user = User.objects.get()
    file = home / "first-login.txt"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    lines = dict(line.split(": ", 1) for line in file.read_text().splitlines())
    assert lines["User name"] == "admin"
    assert lines["URL"].endswith("/login/")
    assert lines["Password"] in said
    assert user.check_password(lines["Password"])
    assert (user.is_staff, user.is_active) == (True, True)


def test_a_given_password_is_neither_printed_nor_kept(home, monkeypatch):
    monkeypatch.setenv("PORTAL_ADMIN_PASSWORD", "grapefruit seven lamps")
    said = create_admin()
    assert "grapefruit" not in said
    assert not (home / "first-login.txt").exists()
    assert User.objects.get().check_password("grapefruit seven lamps")


def test_a_second_run_changes_nothing(home):
    create_admin()
    password = User.objects.get().password
    assert "already" in create_admin()
    assert User.objects.get().password == password


def test_a_weak_given_password_is_refused(monkeypatch):
    monkeypatch.setenv("PORTAL_ADMIN_PASSWORD", "admin")
    with pytest.raises(CommandError, match="too short"):
        create_admin()
    assert not User.objects.exists()


def test_a_name_that_somebody_holds_is_refused():
    UserFactory(username="Admin")
    with pytest.raises(CommandError, match="taken"):
        create_admin()
