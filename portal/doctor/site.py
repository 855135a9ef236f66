"""Checks of how this site is set up: files, addresses, permissions, people."""

import ipaddress
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.staticfiles.storage import staticfiles_storage
from django.db import DatabaseError
from django.http.request import validate_host

from portal.doctor.check import Check, Status, fault, ok, warning
from registration.models import User

#: Files of PORTAL_HOME that only the portal's user may read.
SECRETS = ("secret-key", "first-login.txt", "portal.sqlite3", "run", "logs", "mails", "cloud")
PAGES_NEED = ("dist/app.js", "dist/app.css")


def static_files() -> Iterator[Check]:
    name = "Static files"
    fix = "npm ci && npm run build && .venv/bin/python manage.py collectstatic --noinput"
    try:
        missing = [file for file in PAGES_NEED if not _is_collected(staticfiles_storage.url(file))]
    except ValueError as exc:  # not in the manifest
        yield fault(name, f"The pages' scripts and styles are missing: {exc}", fix)
        return
    if missing:
        yield fault(name, f"Not collected: {', '.join(missing)}.", fix)
    elif _is_stale():
        yield warning(name, "The pages' sources are newer than what is served.", fix)
    else:
        yield ok(name, "Scripts and styles are built and collected.")


def _is_collected(url: str) -> bool:
    return (Path(settings.STATIC_ROOT) / url.removeprefix(settings.STATIC_URL)).is_file()


def _is_stale() -> bool:
    built = settings.BASE_DIR / "static" / "dist" / "app.js"
    sources = [*settings.BASE_DIR.glob("static/js/*.js"), *settings.BASE_DIR.glob("static/css/*")]
    if not built.is_file():  # an installed portal may lack the sources' side
        return False
    return any(source.stat().st_mtime > built.stat().st_mtime for source in sources)


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def proxy() -> Iterator[Check]:
    """HTTPS, the proxy before us, and the names we answer to must agree."""
    found = [*_address(), *_encryption()]
    yield from found or [ok("Proxy", f"{settings.PORTAL_URL} is answered as it should be.")]


def _address() -> Iterator[Check]:
    url = urlsplit(settings.PORTAL_URL)
    host = url.hostname or ""
    if url.scheme not in ("http", "https") or not host:
        fix = "Write it as https://portal.example.org"
        yield fault("Proxy", f"PORTAL_URL is {settings.PORTAL_URL!r}, not an address.", fix)
    elif not validate_host(f"[{host}]" if ":" in host else host, settings.ALLOWED_HOSTS):
        sentence = f"PORTAL_URL names {host}, but the portal does not answer to that name."
        yield fault("Proxy", sentence, f"Set PORTAL_ALLOWED_HOSTS={host}")
    if (url.scheme == "https") != settings.PORTAL_HTTPS:
        sentence = (
            f"PORTAL_URL is {settings.PORTAL_URL}, but PORTAL_HTTPS is"
            f" {'on' if settings.PORTAL_HTTPS else 'off'}: forms will be refused."
        )
        yield fault("Proxy", sentence, "Set PORTAL_HTTPS=1 and an https:// PORTAL_URL, or neither.")


def _encryption() -> Iterator[Check]:
    trusted = os.environ.get("PORTAL_TRUSTED_PROXIES", "")
    if settings.PORTAL_HTTPS and not trusted:
        sentence = "PORTAL_HTTPS is on, but no proxy is trusted to say that a request came so."
        fix = "Set PORTAL_TRUSTED_PROXIES to the proxy's address, for example 127.0.0.1"
        yield fault("Proxy", sentence, fix)
    if not settings.PORTAL_HTTPS and not is_loopback(settings.PORTAL_HOST):
        sentence = f"Passwords cross the network in the clear: HTTP on {settings.PORTAL_HOST}."
        fix = "Put nginx with a certificate in front (deploy/nginx/portal.conf), PORTAL_HTTPS=1."
        yield warning("Proxy", sentence, fix)


def public_host() -> Iterator[Check]:
    name = "Address of machines"
    host = settings.PORTAL_PUBLIC_HOST
    if is_loopback(host):
        sentence = f"Machines are reached at {host}: from this computer only."
        yield warning(name, sentence, "Set PORTAL_PUBLIC_HOST to this computer's name or address.")
        return
    try:
        socket.getaddrinfo(host, None)
    except OSError as exc:
        fix = "Correct PORTAL_PUBLIC_HOST, or add the name to DNS."
        yield fault(name, f"PORTAL_PUBLIC_HOST {host} is not known: {exc}", fix)
        return
    yield ok(name, f"Machines are reached at {host}.")


def permissions() -> Iterator[Check]:
    name = "Permissions"
    home = settings.PORTAL_HOME
    found = list(_open_to_others(home))
    owner = home.stat().st_uid
    if owner != os.geteuid():
        sentence = f"{home} belongs to user {owner}; this is user {os.geteuid()}."
        found.append(Check(name, Status.WARNING, sentence, "Run this as the portal's user."))
    yield from found or [ok(name, f"Secrets in {home} are closed to others.")]


def _open_to_others(home: Path) -> Iterator[Check]:
    name = "Permissions"
    if home.stat().st_mode & stat.S_IWOTH:
        yield fault(name, f"Everybody may write to {home}.", f"chmod o-w {home}")
    for path in (home / secret for secret in SECRETS):
        is_open = path.exists() and path.stat().st_mode & (stat.S_IRWXO | stat.S_IRGRP) & 0o066
        if is_open:
            yield fault(name, f"Others may read {path}.", f"chmod go-rw {path}")


def administrators() -> Iterator[Check]:
    name = "Administrators"
    fix = ".venv/bin/python manage.py create_admin"
    try:
        count = User.objects.administrators().count()
    except DatabaseError:
        return  # said already
    if count:
        yield ok(name, f"{count} may approve registrations and see every machine.")
    else:
        yield fault(name, "Nobody can approve registrations.", fix)
