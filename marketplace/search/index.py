"""The index of words, beside the table of entries: FTS5 in SQLite, ``tsvector`` in PostgreSQL.

The database keeps it, so it holds every entry however it was made. ``Matches`` and ``ranked``
are all that the rest of the portal sees of it.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

from django.db import connection, models
from django.db.models import BooleanField, F, FloatField, Func

from marketplace.search.tokens import PARTS, Term

Rows = TypeVar("Rows", bound=models.QuerySet[Any])

ENTRIES, TEXT = "marketplace_entry", "marketplace_text"
#: What one search finds, in SQLite; it ends with the connection.
KEPT = "marketplace_kept"
#: Columns of the table in PostgreSQL.
VECTOR, TITLE = "found_by", "title"
_COLUMNS = ", ".join(PARTS)
#: What a word in each part is worth.
_WEIGHTS = (10, 4, 2, 2, 1, 1)
#: The same in PostgreSQL, which has four; what can be asked for by itself has one of its own.
_LETTERS = dict(zip(PARTS, "ABBCDB", strict=True))
_LINES = """json_extract('["' || replace({row}.words, char(10), '","') || '"]', '$[{n}]')"""


class Matches(Func):
    """Whether an entry has every term. ``is_kept``: of those that ``keep`` has just found."""

    output_field = BooleanField()

    def __init__(self, terms: tuple[Term, ...], *, is_kept: bool = False) -> None:
        super().__init__(F("pk"))
        self.terms = terms
        self.is_kept = is_kept

    def as_sqlite(self, compiler: Any, connection: Any, **more: Any) -> Any:
        """The sign keeps SQLite from fetching whole rows by their numbers: it walks the narrow
        index of the catalogue, and asks of each whether it is among those found."""
        key, params = compiler.compile(self.source_expressions[0])
        if self.is_kept:
            return f"+{key} IN (SELECT id FROM temp.{KEPT})", params  # noqa: S608
        found = f"+{key} IN (SELECT rowid FROM {TEXT} WHERE {TEXT} MATCH %s)"  # noqa: S608
        return found, [*params, _fts5(self.terms)]

    def as_postgresql(self, compiler: Any, connection: Any, **more: Any) -> Any:
        """Titles have a column of their own: the index of the other one knows no parts.

        What is in a CTE is found once, and not by each of several workers.
        """
        key, params = compiler.compile(self.source_expressions[0])
        if {term.part for term in self.terms} == {"title"}:
            plain = tuple(replace(term, part="") for term in self.terms)
            rows = f"SELECT id FROM {TEXT} WHERE {TITLE} @@ to_tsquery('simple', %s)"  # noqa: S608
            found = f"{key} IN (WITH titled AS MATERIALIZED ({rows}) SELECT id FROM titled)"  # noqa: S608
            return found, [*params, _tsquery(plain)]
        rows = f"SELECT id FROM {TEXT} WHERE {VECTOR} @@ to_tsquery('simple', %s)"  # noqa: S608
        return f"{key} IN ({rows})", [*params, _tsquery(self.terms)]


def keep(terms: tuple[Term, ...]) -> None:
    """Find them now, for questions that follow. SQLite would search anew for each of them, and
    sort what it finds; PostgreSQL asks one."""
    if connection.vendor == "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TEMP TABLE IF NOT EXISTS {KEPT} (id integer PRIMARY KEY)")
        cursor.execute(f"DELETE FROM temp.{KEPT}")  # noqa: S608
        found = f"SELECT rowid FROM {TEXT} WHERE {TEXT} MATCH %s"  # noqa: S608
        cursor.execute(f"INSERT INTO temp.{KEPT} {found}", [_fts5(terms)])


class _Rank(Func):
    """PostgreSQL only: how well an entry matches; more is better."""

    output_field = FloatField()

    def __init__(self, terms: tuple[Term, ...]) -> None:
        super().__init__(F("pk"))
        self.terms = terms

    def as_postgresql(self, compiler: Any, connection: Any, **more: Any) -> tuple[str, list[Any]]:
        """By its number: a join would have the planner rank every entry before it asks others."""
        key, params = compiler.compile(self.source_expressions[0])
        rank = f"ts_rank({VECTOR}, to_tsquery('simple', %s))"
        found = f"(SELECT {rank} FROM {TEXT} WHERE {TEXT}.id = {key})"  # noqa: S608
        return found, [_tsquery(self.terms), *params]


def ranked(rows: Rows, terms: tuple[Term, ...], *then: str) -> Rows:
    """Those that match, the best first; equals in the order of the columns ``then``."""
    if connection.vendor == "postgresql":
        found: Any = rows.filter(Matches(terms)).alias(rank=_Rank(terms))
        return found.order_by("-rank", *then)  # type: ignore[no-any-return]
    # An expression cannot join a table that has no model; bm25 is known while it is read only.
    weights = ", ".join(map(str, _WEIGHTS))
    found = rows.extra(  # noqa: S610  (text of our own, what was asked is a parameter)
        tables=[TEXT],
        where=[f"{TEXT}.rowid = {ENTRIES}.id", f"{TEXT} MATCH %s"],
        params=[_fts5(terms)],
        # Two digits of it: what is nearly as good counts as equal.
        select={"rank": f"CAST(printf('%%.1e', bm25({TEXT}, {weights})) AS REAL)"},
    )
    return found.extra(order_by=["rank", *then])  # type: ignore[no-any-return]


def title_first(rows: Rows, terms: tuple[Term, ...], *then: str) -> Rows:
    """Those that match, first those whose title does: for searches that find so many
    that ranking them would take long and tell little. They are kept."""
    within = tuple(replace(term, part="title") for term in terms)
    found: Any = rows.filter(Matches(terms, is_kept=True)).alias(is_titled=Matches(within))
    return found.order_by("-is_titled", *then)  # type: ignore[no-any-return]


def _fts5(terms: Sequence[Term]) -> str:
    """Words are letters and digits alone: nothing in them is a sign of the query language."""
    return " AND ".join(
        f'{f"{term.part} : " if term.part else ""}"{" ".join(term.words)}" *' for term in terms
    )


def _tsquery(terms: Sequence[Term]) -> str:
    return " & ".join(f"({_side_by_side(term)})" for term in terms)


def _side_by_side(term: Term) -> str:
    *whole, last = term.words
    letter = _LETTERS.get(term.part, "")
    fixed = [f"'{word}':{letter}" if letter else f"'{word}'" for word in whole]
    return " <-> ".join([*fixed, f"'{last}':*{letter}"])


# Making it -------------------------------------------------------------------------------


def make(of: Any = connection) -> None:
    """Have the database keep the index. Again and again does no harm.

    A migration that alters the table makes SQLite forget the triggers; they come back, and the
    index is made anew, at the end of ``migrate``.
    """
    with of.cursor() as cursor:
        if of.vendor == "postgresql":
            _make_postgresql(cursor)
        else:
            _make_sqlite(cursor)


def drop(of: Any = connection) -> None:
    with of.cursor() as cursor:
        if of.vendor == "postgresql":
            cursor.execute(f"DROP FUNCTION IF EXISTS {TEXT}_keep() CASCADE")  # and its triggers
            cursor.execute(f"DROP TABLE IF EXISTS {TEXT}")
            return
        for name in _TRIGGERS:
            cursor.execute(f"DROP TRIGGER IF EXISTS {name}")
        cursor.execute(f"DROP TABLE IF EXISTS {TEXT}")


def _make_postgresql(cursor: Any) -> None:
    """A table of its own: the entries are so wide that to read them takes longer than to search.

    Nothing of it refers to the entries, or a test could not empty their table.
    """
    cursor.execute("SELECT to_regclass(%s)", [TEXT])
    if cursor.fetchone()[0]:
        return
    cursor.execute(
        f"CREATE TABLE {TEXT} (id bigint PRIMARY KEY, {VECTOR} tsvector NOT NULL, "
        f"{TITLE} tsvector NOT NULL)"
    )
    cursor.execute(f"INSERT INTO {TEXT} SELECT id, {_vectors('e')} FROM {ENTRIES} AS e")  # noqa: S608
    for column in (VECTOR, TITLE):
        # Without a list of what is yet to be sorted in: each search would go through it.
        cursor.execute(f"CREATE INDEX ON {TEXT} USING gin ({column}) WITH (fastupdate = off)")
    cursor.execute(f"ANALYZE {TEXT}")
    cursor.execute(_KEEP)
    cursor.execute(
        f"CREATE TRIGGER {TEXT}_kept AFTER INSERT OR UPDATE OF words OR DELETE ON {ENTRIES} "
        f"FOR EACH ROW EXECUTE FUNCTION {TEXT}_keep()"
    )
    cursor.execute(
        f"CREATE TRIGGER {TEXT}_emptied AFTER TRUNCATE ON {ENTRIES} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {TEXT}_keep()"
    )


def _vectors(row: str) -> str:
    """The values of both columns, for the entry that is called so."""
    lines = [
        f"to_tsvector('simple', split_part({row}.words, chr(10), {n}))"
        for n in range(1, len(PARTS) + 1)
    ]
    letters = (_LETTERS[part] for part in PARTS)
    whole = [f"setweight({line}, '{letter}')" for line, letter in zip(lines, letters, strict=True)]
    return f"{' || '.join(whole)}, {lines[PARTS.index('title')]}"


_KEEP = f"""
CREATE OR REPLACE FUNCTION {TEXT}_keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        TRUNCATE {TEXT};
    ELSIF TG_OP = 'DELETE' THEN
        DELETE FROM {TEXT} WHERE id = old.id;
    ELSIF TG_OP = 'INSERT' OR new.words <> old.words THEN
        INSERT INTO {TEXT} (id, {VECTOR}, {TITLE}) VALUES (new.id, {_vectors("new")})
        ON CONFLICT (id) DO UPDATE
        SET {VECTOR} = excluded.{VECTOR}, {TITLE} = excluded.{TITLE};
    END IF;
    RETURN NULL;
END $$
"""  # noqa: S608


def _lines(row: str) -> str:
    return ", ".join(_LINES.format(row=row, n=n) for n in range(len(PARTS)))


_ADD = f"INSERT INTO {TEXT}(rowid, {_COLUMNS})"
_ADD_NEW = f"{_ADD} VALUES (new.id, {_lines('new')});"
_REMOVE_OLD = f"DELETE FROM {TEXT} WHERE rowid = old.id;"  # noqa: S608
_TRIGGERS = {
    f"{TEXT}_added": f"AFTER INSERT ON {ENTRIES} BEGIN {_ADD_NEW} END",
    f"{TEXT}_changed": f"AFTER UPDATE OF words ON {ENTRIES} WHEN old.words <> new.words "
    f"BEGIN {_REMOVE_OLD} {_ADD_NEW} END",
    f"{TEXT}_removed": f"AFTER DELETE ON {ENTRIES} BEGIN {_REMOVE_OLD} END",
}


def _make_sqlite(cursor: Any) -> None:
    cursor.execute(
        f"CREATE VIRTUAL TABLE IF NOT EXISTS {TEXT} USING fts5({_COLUMNS}, "
        """tokenize="unicode61 remove_diacritics 0", prefix='2 3')"""
    )
    names = list(_TRIGGERS)
    cursor.execute(
        "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND name IN (%s, %s, %s)", names
    )
    if cursor.fetchone()[0] == len(names):
        return
    for name, does in _TRIGGERS.items():
        cursor.execute(f"CREATE TRIGGER IF NOT EXISTS {name} {does}")
    cursor.execute(f"DELETE FROM {TEXT}")  # noqa: S608
    cursor.execute(f"{_ADD} SELECT id, {_lines('e')} FROM {ENTRIES} AS e")  # noqa: S608
