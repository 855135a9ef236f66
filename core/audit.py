"""What keeps the audit honest: its lines stay as they were written, and hold no secret.

The database itself refuses to change them, whoever asks: a bug of ours, the shell, Django's
admin pages. Dropping these triggers takes a statement that nobody types by accident.
"""

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction

logger = logging.getLogger(__name__)

REFUSAL = "The audit is append-only."

_PROTECT = {
    "sqlite": (
        f"""CREATE TRIGGER IF NOT EXISTS core_event_no_update BEFORE UPDATE ON core_event
        BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END""",
        f"""CREATE TRIGGER IF NOT EXISTS core_event_no_delete BEFORE DELETE ON core_event
        BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END""",
        # INSERT OR REPLACE deletes without asking the trigger above.
        f"""CREATE TRIGGER IF NOT EXISTS core_event_no_replace BEFORE INSERT ON core_event
        WHEN EXISTS (SELECT 1 FROM core_event WHERE id = NEW.id)
        BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END""",  # noqa: S608
    ),
    "postgresql": (
        f"""CREATE OR REPLACE FUNCTION core_event_refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION '{REFUSAL}' USING ERRCODE = 'integrity_constraint_violation';
        END $$""",
        """CREATE OR REPLACE TRIGGER core_event_no_change BEFORE UPDATE OR DELETE ON core_event
        FOR EACH ROW EXECUTE FUNCTION core_event_refuse()""",
        """CREATE OR REPLACE TRIGGER core_event_no_truncate BEFORE TRUNCATE ON core_event
        FOR EACH STATEMENT EXECUTE FUNCTION core_event_refuse()""",
    ),
}
_RELEASE = {
    "sqlite": (
        "DROP TRIGGER IF EXISTS core_event_no_update",
        "DROP TRIGGER IF EXISTS core_event_no_delete",
        "DROP TRIGGER IF EXISTS core_event_no_replace",
    ),
    "postgresql": (
        "SET CONSTRAINTS ALL IMMEDIATE",  # a trigger cannot go while the table has checks to do
        "DROP TRIGGER IF EXISTS core_event_no_change ON core_event",
        "DROP TRIGGER IF EXISTS core_event_no_truncate ON core_event",
    ),
}


def protect(of: Any = connection) -> None:
    """Have the database refuse every change of the audit. Again and again does no harm.

    A migration that alters the table calls it at its end: SQLite makes the table anew and
    forgets the triggers.
    """
    _execute(of, _PROTECT)


def release(of: Any = connection) -> None:
    _execute(of, _RELEASE)


def _execute(of: Any, statements: Mapping[str, tuple[str, ...]]) -> None:
    with of.cursor() as cursor:
        for statement in statements[of.vendor]:
            cursor.execute(statement)


@contextmanager
def lifted() -> Iterator[None]:
    """Let lines go that tell of nothing real: made-up ones, and those of tests."""
    with transaction.atomic():
        release()
        yield
        protect()


#: Words that a key of ``detail`` does not have: what it names is nobody's to read.
_SECRET_WORDS = frozenset(
    {
        "codes", "cookie", "credential", "credentials", "digest", "otp", "passphrase", "passwd",
        "password", "pin", "private", "secret", "seed", "token",
    }
)  # fmt: skip
#: What no value holds, under whatever key: private keys, API tokens, seeds of one-time codes.
_SECRET_VALUE = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY|\bslp_\w{8}|otpauth://")
WITHHELD = "(not kept)"


def without_secrets(detail: Any, *, key: str = "") -> Any:
    """``detail`` as the audit may keep it: what looks like a secret is left out, and logged."""
    if isinstance(detail, dict):
        return {name: without_secrets(value, key=name) for name, value in detail.items()}
    if _is_secret(key, detail):
        logger.error("audit.secret_withheld", extra={"detail_key": key})
        return WITHHELD
    if isinstance(detail, list | tuple):
        return [without_secrets(value) for value in detail]
    return detail


def _is_secret(key: str, value: Any) -> bool:
    if isinstance(value, bool | None):
        return False
    words = re.split(r"[^a-z0-9]+", str(key).lower())
    return bool(_SECRET_WORDS.intersection(words)) or (
        isinstance(value, str) and bool(_SECRET_VALUE.search(value))
    )
