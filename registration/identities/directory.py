"""Asking a directory (LDAP) whether a password is right, and who that is.

Settings import this module: nothing here needs them until somebody is looked up, nor
python-ldap, which only a site with a directory installs (requirements-ldap.txt).
"""

import importlib
import importlib.util
import logging
import secrets
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from registration.identities.providers import DIRECTORY

logger = logging.getLogger(__name__)

#: What ``User.source`` says of somebody from the directory.
SOURCE = DIRECTORY
TIMEOUT_S = 5
PLACE = "%(user)s"
#: Where Debian keeps the authorities that everybody trusts; its libldap looks nowhere.
SYSTEM_CA_FILE = Path("/etc/ssl/certs/ca-certificates.crt")
ATTRIBUTES = {
    "username": "uid",
    "email": "mail",
    "given_name": "givenName",
    "family_name": "sn",
}
#: What directories call an entry for ever, the best first; AD's is binary. Nobody reads them
#: unless they are asked for by name.
IDS = ("entryUUID", "objectGUID", "ipaUniqueID", "nsUniqueId")
_DN = "dn"
#: An entry that nobody has: names that are not there cost what others cost.
_NOBODY = "cn=nobody-{}"


class Unreachable(Exception):
    """The directory does not answer, or not to us. ``str()`` is for the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """How to ask. ``group``: the entry whose members are let in; "": everybody is."""

    url: str
    name: str
    user_base: str
    user_filter: str = f"(uid={PLACE})"
    bind_dn: str = ""
    bind_password: str = field(default="", repr=False)
    group: str = ""
    start_tls: bool = True
    ca_file: str = ""
    attributes: Mapping[str, str] = field(default_factory=lambda: dict(ATTRIBUTES))

    @property
    def is_private(self) -> bool:
        """Whether nobody on the way can read passwords."""
        return self.start_tls or urlsplit(self.url).scheme in ("ldaps", "ldapi")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What the directory says of somebody; "" where it says nothing.

    ``id`` says who it is: another person who gets the same user name later has another one.
    Where the directory has none of ``IDS``, or does not show it to us, it is the DN.
    """

    id: str
    dn: str
    username: str
    emails: Sequence[str]
    given_name: str
    family_name: str


def configured() -> Directory | None:
    known: Directory | None = settings.PORTAL_LDAP
    return known


def read(*, url: str, user_base: str, attributes: Sequence[str], **more: Any) -> Directory | None:
    """The directory that these settings describe; None without a URL.

    ``attributes`` are texts like ``username=uid``.

    Raises:
        ImproperlyConfigured: with a sentence that names the variable.
    """
    if not url:
        return None
    _must_have_python_ldap()
    scheme = urlsplit(url).scheme
    if scheme not in ("ldap", "ldaps", "ldapi") or " " in url:
        raise ImproperlyConfigured(
            f"PORTAL_LDAP_URL is {url!r}; write ldaps://host, ldap://host or ldapi://%2Fsocket."
        )
    if not user_base:
        raise ImproperlyConfigured("PORTAL_LDAP_USER_BASE is not set; write the entry above users.")
    more["start_tls"] = more["start_tls"] and scheme == "ldap"
    known = Directory(
        url=url, user_base=user_base, attributes=_attributes(attributes), **_without_blanks(more)
    )
    _must_be_filter(known.user_filter)
    if known.ca_file and not Path(known.ca_file).is_file():
        raise ImproperlyConfigured(f"PORTAL_LDAP_CA_FILE {known.ca_file} is not there.")
    if bool(known.bind_dn) != bool(known.bind_password):
        raise ImproperlyConfigured(
            "PORTAL_LDAP_BIND_DN and PORTAL_LDAP_BIND_PASSWORD go together; set both or neither."
        )
    return known


def _without_blanks(more: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in more.items() if value != ""}


def _must_have_python_ldap() -> None:
    if importlib.util.find_spec("ldap") is None:
        raise ImproperlyConfigured(
            "PORTAL_LDAP_URL is set and python-ldap is missing. Install what it is built with "
            "(apt-get install gcc python3-dev libldap-dev libsasl2-dev), then run "
            ".venv/bin/pip install -r requirements-ldap.txt"
        )


def _must_be_filter(text: str) -> None:
    is_whole = text.startswith("(") and text.endswith(")") and text.count("(") == text.count(")")
    if not is_whole or PLACE not in text:
        raise ImproperlyConfigured(
            f"PORTAL_LDAP_USER_FILTER is {text!r}; write a filter in parentheses that holds "
            f"{PLACE}, such as (uid={PLACE})."
        )


def _attributes(pairs: Sequence[str]) -> dict[str, str]:
    known = dict(ATTRIBUTES)
    for pair in pairs:
        ours, _, theirs = pair.partition("=")
        if ours not in ATTRIBUTES or not theirs:
            raise ImproperlyConfigured(
                f"PORTAL_LDAP_ATTRIBUTES has {pair!r}; write "
                + ",".join(f"{name}={attribute}" for name, attribute in ATTRIBUTES.items())
            )
        known[ours] = theirs
    return known


# Asking --------------------------------------------------------------------------------


def look_up(login: str, password: str, *, id: str = "") -> Entry | None:
    """Who this is, by ``login`` or by ``Entry.id``; None: nobody who may come.

    There is no such person, or they may not come, or the password is wrong.
    Which of the three it is, is told to nobody: each costs the same questions.

    Raises: Unreachable.
    """
    known = configured()
    if known is None or not (login or id) or not password:  # a bind without a password asks nothing
        return None
    found: tuple[str, dict[str, list[bytes]]] | None = None
    with connected(known) as connection:
        found = _find(known, connection, login, id)
        dn = found[0] if found else f"{_NOBODY.format(secrets.token_hex(8))},{known.user_base}"
        entry = _entry(known, dn, found[1] if found else {})
        is_member = _is_member(known, connection, dn, entry.username)
        is_right = _is_password(connection, dn, password)
    return entry if found and is_member and is_right else None


@contextmanager
def connected(known: Directory) -> Iterator[Any]:
    """A connection that may look for people.

    Raises: Unreachable; from inside the ``with`` as well.
    """
    ldap = importlib.import_module("ldap")
    connection = None
    _must_shake_hands(known)
    try:
        connection = ldap.initialize(known.url)
        _set_options(ldap, connection, known)
        if known.start_tls:
            connection.start_tls_s()
        connection.simple_bind_s(known.bind_dn, known.bind_password)
        yield connection
    except ldap.LDAPError as exc:
        logger.warning("directory.failed", extra={"url": known.url, "error": _said(exc)})
        raise Unreachable(_said(exc)) from exc
    finally:
        if connection is not None:
            _hang_up(ldap, connection)


def _must_shake_hands(known: Directory) -> None:
    """Whether an ``ldaps://`` server gets as far as TLS, in time.

    Asked first and apart: libldap 2.5 with GnuTLS (Debian's) has no time limit there, and a
    server that stalls in it keeps a processor busy for ever. Host names are libldap's to check.

    Raises: Unreachable.
    """
    parts = urlsplit(known.url)
    if parts.scheme != "ldaps":
        return
    address = (parts.hostname or "localhost", parts.port or 636)
    try:
        context = ssl.create_default_context(cafile=_ca_file(known) or None)
        context.check_hostname = False
        with socket.create_connection(address, TIMEOUT_S) as plain, context.wrap_socket(plain):
            pass
    except OSError as exc:
        logger.warning("directory.failed", extra={"url": known.url, "error": repr(exc)})
        raise Unreachable(str(exc)) from exc


def _ca_file(known: Directory) -> str:
    return known.ca_file or (str(SYSTEM_CA_FILE) if SYSTEM_CA_FILE.is_file() else "")


def _hang_up(ldap: Any, connection: Any) -> None:
    try:
        connection.unbind_s()
    except ldap.LDAPError as exc:  # it is gone already
        logger.debug("directory.gone", extra={"error": _said(exc)})


def _said(exc: Exception) -> str:
    """An error of python-ldap as a line, without what was asked."""
    said = exc.args[0] if exc.args and isinstance(exc.args[0], dict) else {}
    words = (type(exc).__name__, said.get("desc", ""), said.get("info", ""))
    return ": ".join(str(word) for word in words if word)


def _set_options(ldap: Any, connection: Any, known: Directory) -> None:
    connection.protocol_version = ldap.VERSION3
    connection.set_option(ldap.OPT_REFERRALS, 0)
    connection.set_option(ldap.OPT_NETWORK_TIMEOUT, TIMEOUT_S)
    connection.set_option(ldap.OPT_TIMEOUT, TIMEOUT_S)
    if ca_file := _ca_file(known):
        connection.set_option(ldap.OPT_X_TLS_CACERTFILE, ca_file)
    connection.set_option(ldap.OPT_X_TLS_REQUIRE_CERT, ldap.OPT_X_TLS_DEMAND)
    connection.set_option(ldap.OPT_X_TLS_NEWCTX, 0)  # last: it puts the others into force


def look_around(known: Directory, connection: Any) -> None:
    """Whether the entries that settings name are there.

    Raises: what ``connected`` makes ``Unreachable`` of.
    """
    ldap = importlib.import_module("ldap")
    for dn in filter(None, (known.user_base, known.group)):
        connection.search_ext_s(dn, ldap.SCOPE_BASE, attrlist=["1.1"], timeout=TIMEOUT_S)


def _find(
    known: Directory, connection: Any, login: str, id: str
) -> tuple[str, dict[str, list[bytes]]] | None:
    """The only entry that the filter finds for this name, or the one with this id."""
    ldap = importlib.import_module("ldap")
    base, scope, wanted = known.user_base, ldap.SCOPE_SUBTREE, _filter(known, login, id)
    attribute, _, value = id.partition("=")
    if attribute == _DN:
        base, scope = value, ldap.SCOPE_BASE
    names = [*sorted(set(known.attributes.values())), *IDS]
    try:
        rows = connection.search_ext_s(base, scope, wanted, names, timeout=TIMEOUT_S, sizelimit=2)
    except (ldap.SIZELIMIT_EXCEEDED, ldap.NO_SUCH_OBJECT):
        rows = []
    found = [(dn, attributes) for dn, attributes in rows if dn]  # without: a referral
    if len(found) > 1:
        logger.error("directory.ambiguous", extra={"filter": known.user_filter})
    return found[0] if len(found) == 1 else None


def _filter(known: Directory, login: str, id: str) -> str:
    """What finds somebody. Who is known by an id may be called anything, and must be let in."""
    escape = importlib.import_module("ldap.filter").escape_filter_chars
    if not id:
        return known.user_filter.replace(PLACE, escape(login))
    anybody = known.user_filter.replace(PLACE, "*")
    attribute, _, value = id.partition("=")
    if attribute == _DN:
        return anybody
    if attribute == "objectGUID":
        value = "".join(f"\\{byte:02x}" for byte in bytes.fromhex(value))
    else:
        value = escape(value)
    return f"(&({attribute}={value}){anybody})"


def _is_member(known: Directory, connection: Any, dn: str, username: str) -> bool:
    """Whether the group names this person, as any of the usual kinds of groups does."""
    if not known.group:
        return True
    ldap = importlib.import_module("ldap")
    filter_format = importlib.import_module("ldap.filter").filter_format
    wanted = filter_format("(|(member=%s)(uniqueMember=%s)(memberUid=%s))", [dn, dn, username])
    rows = connection.search_ext_s(
        known.group, ldap.SCOPE_BASE, wanted, ["1.1"], timeout=TIMEOUT_S, sizelimit=1
    )
    return any(found for found, _ in rows)


def _is_password(connection: Any, dn: str, password: str) -> bool:
    ldap = importlib.import_module("ldap")
    try:
        connection.simple_bind_s(dn, password)
    except (
        ldap.INVALID_CREDENTIALS,
        ldap.INAPPROPRIATE_AUTH,  # the entry has no password
        ldap.INSUFFICIENT_ACCESS,
        ldap.NO_SUCH_OBJECT,
        ldap.CONSTRAINT_VIOLATION,  # locked, expired: the directory's own rules
        ldap.UNWILLING_TO_PERFORM,
    ):
        return False
    return True


def _entry(known: Directory, dn: str, attributes: Mapping[str, list[bytes]]) -> Entry:
    theirs = {name.lower(): values for name, values in attributes.items()}

    def texts(ours: str) -> list[str]:
        values = theirs.get(known.attributes[ours].lower(), [])
        return [value.decode(errors="replace").strip() for value in values]

    usernames = texts("username")
    return Entry(
        id=_id(dn, theirs),
        dn=dn,
        # Of several names none is more right than another, and one may be somebody else's.
        username=usernames[0] if len(usernames) == 1 else "",
        emails=tuple(texts("email")),
        given_name=next(iter(texts("given_name")), ""),
        family_name=next(iter(texts("family_name")), ""),
    )


def _id(dn: str, theirs: Mapping[str, list[bytes]]) -> str:
    """``theirs``: by attribute names in lower case."""
    for attribute in IDS:
        values = theirs.get(attribute.lower(), [])
        if len(values) == 1:
            is_binary = attribute == "objectGUID"
            value = values[0].hex() if is_binary else values[0].decode(errors="replace")
            return f"{attribute}={value}"
    return id_of_dn(dn)


def id_of_dn(dn: str) -> str:
    return f"{_DN}={dn}"
