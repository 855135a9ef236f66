import json
import socket
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from portal import doctor
from portal.doctor import Status, host, services, site
from vms.models import CloudStatus


def only(checks):
    (check,) = checks
    return check


@pytest.fixture
def home(settings, tmp_path) -> Path:
    settings.PORTAL_HOME = tmp_path
    tmp_path.chmod(0o711)
    return tmp_path


def test_a_missing_qemu_is_a_fault_and_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    checks = list(host.qemu())
    assert [check.status for check in checks] == [Status.FAULT, Status.FAULT]
    assert "apt-get install" in checks[0].fix


def test_an_old_qemu_is_a_fault(monkeypatch, tmp_path):
    for name in ("qemu-system-x86_64", "qemu-img"):
        program = tmp_path / name
        program.write_text("#!/bin/sh\necho QEMU emulator version 5.2.0\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    check = next(host.qemu())
    assert check.status == Status.FAULT
    assert "5.2" in check.sentence


def test_a_full_disk_is_told_from_one_that_is_nearly_full(home, monkeypatch):
    assert only(host.disk_space()).status in set(Status)
    monkeypatch.setattr(host, "DISK_WARNING_BYTES", 1 << 60)
    assert only(host.disk_space()).status == Status.WARNING
    monkeypatch.setattr(host, "DISK_FAULT_BYTES", 1 << 60)
    assert only(host.disk_space()).status == Status.FAULT


def test_a_home_that_is_not_there_is_a_fault(settings, tmp_path):
    settings.PORTAL_HOME = tmp_path / "gone"
    assert only(host.disk_space()).status == Status.FAULT


def test_a_web_port_that_somebody_else_has_is_a_fault(settings):
    with socket.create_server(("127.0.0.1", 0)) as other:
        settings.PORTAL_HOST, settings.PORTAL_PORT = other.getsockname()
        check = only(host.web_port(timeout_s=0.1))
    assert check.status == Status.FAULT
    assert "PORTAL_PORT" in check.fix


def test_a_portal_that_is_not_running_is_only_a_warning(settings):
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings.PORTAL_HOST, settings.PORTAL_PORT = server.getsockname()
    assert only(host.web_port()).status == Status.WARNING


@pytest.mark.parametrize(
    ("share", "status"), [(0, Status.FAULT), (0.05, Status.WARNING), (0.9, Status.OK)]
)
def test_machines_need_free_ports(share, status):
    assert host.judged("of ports 1 to 2", share).status == status


@pytest.mark.django_db
def test_a_database_that_is_up_to_date_is_well():
    assert only(services.database()).status == Status.OK


@pytest.mark.django_db
def test_a_missing_migration_is_a_fault():
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'vms'")
    check = only(services.database())
    assert check.status == Status.FAULT
    assert check.fix.endswith("manage.py migrate")


def test_a_redis_that_is_gone_is_a_fault(settings, tmp_path):
    settings.REDIS_URL = f"unix://{tmp_path}/nothing.sock"
    assert only(services.redis()).status == Status.FAULT


def test_a_redis_that_answers_is_well(redis_server):
    check = only(services.redis())
    assert check.status == Status.OK, check.sentence


@pytest.mark.django_db
def test_a_worker_that_never_looked_is_a_fault():
    check = only(services.workers())
    assert check.status == Status.FAULT
    assert "yet" in check.sentence


@pytest.mark.django_db
def test_a_worker_that_fell_silent_is_a_fault():
    CloudStatus.objects.create(cloud="local", seen_at=timezone.now() - timedelta(minutes=5))
    assert only(services.workers()).status == Status.FAULT


@pytest.mark.django_db
def test_a_worker_that_looked_a_moment_ago_is_well():
    CloudStatus.objects.create(cloud="local", seen_at=timezone.now(), engine="QEMU")
    assert only(services.workers()).status == Status.OK


@pytest.mark.django_db
def test_a_cloud_in_trouble_is_a_fault_with_its_own_words():
    CloudStatus.objects.create(cloud="local", seen_at=timezone.now(), trouble="The disk is full.")
    assert "The disk is full." in only(services.workers()).sentence


def test_a_mail_server_that_does_not_answer_is_a_fault(settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings.EMAIL_HOST, settings.EMAIL_PORT = server.getsockname()
    check = only(services.mail())
    assert check.status == Status.FAULT
    assert "EMAIL_HOST" in check.fix


def test_pages_without_their_scripts_are_a_fault(settings, tmp_path):
    settings.STATIC_ROOT = tmp_path
    assert only(site.static_files()).status == Status.FAULT


def test_an_address_that_django_would_refuse_is_a_fault(settings):
    settings.PORTAL_URL = "http://portal.example.org"
    check = only(site.proxy())
    assert check.status == Status.FAULT
    assert "PORTAL_ALLOWED_HOSTS=portal.example.org" in check.fix


def test_https_needs_a_trusted_proxy(settings, monkeypatch):
    settings.PORTAL_HTTPS = True
    settings.PORTAL_URL = "https://localhost"
    monkeypatch.delenv("PORTAL_TRUSTED_PROXIES", raising=False)
    assert "PORTAL_TRUSTED_PROXIES" in only(site.proxy()).fix
    monkeypatch.setenv("PORTAL_TRUSTED_PROXIES", "127.0.0.1")
    assert only(site.proxy()).status == Status.OK


def test_an_https_address_without_https_is_a_fault(settings):
    settings.PORTAL_HTTPS = False
    settings.PORTAL_URL = "https://localhost"
    assert only(site.proxy()).status == Status.FAULT


def test_passwords_in_the_clear_are_a_warning(settings):
    settings.PORTAL_HTTPS = False
    settings.PORTAL_HOST = "192.0.2.1"
    assert only(site.proxy()).status == Status.WARNING


def test_machines_on_loopback_are_a_warning(settings):
    settings.PORTAL_PUBLIC_HOST = "127.0.0.1"
    assert only(site.public_host()).status == Status.WARNING


def test_a_name_nobody_knows_is_a_fault(settings):
    settings.PORTAL_PUBLIC_HOST = "nowhere.invalid"
    assert only(site.public_host()).status == Status.FAULT


def test_a_secret_that_others_may_read_is_a_fault(home):
    secret = home / "secret-key"
    secret.touch()
    secret.chmod(0o644)
    check = only(site.permissions())
    assert check.status == Status.FAULT
    assert check.fix == f"chmod go-rw {secret}"
    secret.chmod(0o600)
    assert only(site.permissions()).status == Status.OK


def test_a_home_that_others_may_write_to_is_a_fault(home):
    home.chmod(0o777)
    assert only(site.permissions()).fix == f"chmod o-w {home}"


@pytest.mark.django_db
def test_a_site_without_administrators_is_a_fault():
    assert only(site.administrators()).status == Status.FAULT


@pytest.mark.django_db
def test_the_command_speaks_json_and_fails_with_a_fault(settings, tmp_path):
    settings.REDIS_URL = f"unix://{tmp_path}/nothing.sock"
    out = StringIO()
    with pytest.raises(CommandError, match="found"):
        call_command("doctor", "--json", stdout=out)
    checks = {check["name"]: check for check in json.loads(out.getvalue())}
    assert checks["Redis"]["status"] == "fault"
    assert set(checks["Redis"]) == {"name", "status", "sentence", "fix"}


@pytest.mark.django_db
def test_every_complaint_comes_with_its_fix():
    complaints = [check for check in doctor.run() if check.status != Status.OK]
    assert complaints
    assert all(check.fix and check.sentence.endswith(".") for check in complaints), complaints
