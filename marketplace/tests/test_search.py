import re

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.management import call_command
from django.db import connection
from django.http import QueryDict

from marketplace.models import Entry, Word
from marketplace.search import index, spelling, tokens
from marketplace.search.asked import MOST_VALUES, Asked
from marketplace.search.finding import find
from marketplace.tests.factories import EntryFactory

pytestmark = pytest.mark.django_db


def search(query, user=None, **options):
    return find(Asked.of(QueryDict(query)), user or AnonymousUser(), **{"size": 24, **options})


def titles(found):
    return [entry.title for entry in found.entries]


class TestWords:
    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("x86_64", ["x86", "64"]),
            ("Éclair Straße", ["eclair", "strasse"]),
            ("alice@example.org", ["alice", "example", "org"]),
            ("解析 かな", ["解", "析", "か", "な"]),
            ("ﬁle №5", ["file", "no5"]),
            ("'; DROP TABLE x --", ["drop", "table", "x"]),
            ('%_\\"*:()', []),
        ],
    )
    def test_are_letters_and_digits_without_case_and_accents(self, text, words):
        assert tokens.words_of(text) == words

    def test_a_long_description_is_indexed_to_an_end(self):
        entry = EntryFactory.build(description="word " * 100_000)
        lines = tokens.indexed(entry).split("\n")
        assert len(lines) == len(tokens.PARTS)
        assert len(lines[4]) <= 20_000

    def test_quotes_keep_words_together(self):
        together, alone = tokens.terms_of('"slurm head node" debian')
        assert together.words == ("slurm", "head", "node")
        assert alone.words == ("debian",)


class TestIndex:
    def test_it_has_every_entry_however_it_was_made(self):
        EntryFactory(title="saved")
        Entry.objects.bulk_create([EntryFactory.build(title="in bulk")])
        assert titles(search("q=saved")) == ["saved"]
        assert titles(search("q=bulk")) == ["in bulk"]

    def test_it_follows_a_change_and_forgets_what_is_gone(self):
        entry = EntryFactory(title="before")
        entry.title = "after"
        entry.save()
        assert titles(search("q=before&exact=1")) == []
        assert titles(search("q=after")) == ["after"]
        entry.delete()
        assert titles(search("q=after&exact=1")) == []

    def test_words_that_somebody_wrote_are_no_language_of_queries(self):
        EntryFactory(title="plain")
        for words in ("a AND", "NOT plain", "title:", '"', "NEAR(", "-plain", "a' | 'b", ":*", "*"):
            search(f"q={words}")

    def test_a_database_that_forgot_its_triggers_gets_them_back(self):
        EntryFactory(title="before")
        if connection.vendor == "sqlite":
            with connection.cursor() as cursor:
                cursor.execute("DROP TRIGGER marketplace_text_added")
        EntryFactory(title="meanwhile")
        index.make(connection)
        EntryFactory(title="later")
        assert all(search(f"q={word}").entries for word in ("before", "meanwhile", "later"))

    def test_making_it_again_does_no_harm(self):
        EntryFactory(title="one")
        index.make(connection)
        index.make(connection)
        assert titles(search("q=one")) == ["one"]


class TestRanking:
    def test_a_word_in_the_title_counts_more_than_one_in_the_description(self):
        EntryFactory(title="Slurm", description="A head node.")
        EntryFactory(title="Worker", description="Asks a head node with Slurm for work.")
        EntryFactory(title="Nothing of it", description="Else.")
        assert titles(search("q=slurm")) == ["Slurm", "Worker"]

    def test_of_equals_the_sites_own_comes_first_then_the_newest(self):
        for n, is_official in enumerate((False, True, False)):
            EntryFactory(content=b"same", title="same", is_official=is_official,
                         endorser_email=f"p{n}@example.org")  # fmt: skip
        found = search("q=same").entries
        assert found[0].is_official
        assert found[1].created_at > found[2].created_at

    def test_every_word_must_be_there_the_last_letters_may_be_missing(self):
        EntryFactory(title="Debian with JupyterLab")
        EntryFactory(title="Debian with Slurm")
        assert titles(search("q=deb+jup")) == ["Debian with JupyterLab"]
        assert titles(search('q="with+slurm"')) == ["Debian with Slurm"]

    def test_a_search_that_finds_very_many_puts_titles_first(self, monkeypatch):
        monkeypatch.setattr("marketplace.search.finding.MOST_RANKED", 1)
        EntryFactory(title="Slurm")
        EntryFactory(title="Worker", description="For Slurm.")
        assert titles(search("q=slurm")) == ["Slurm", "Worker"]

    def test_fields_are_searched_by_themselves(self):
        EntryFactory(title="one", creator="Grace Hopper", description="Compiler.")
        EntryFactory(title="two", publisher="Hopper group", description="Grace.")
        EntryFactory(title="three", endorser_email="hopper@example.net", description="hopper")
        assert titles(search("creator=hopper+grace")) == ["one"]
        assert set(titles(search("creator=hopper"))) == {"one", "two"}
        assert titles(search("description=GRACE")) == ["two"]
        assert titles(search("email=HOPPER@")) == ["three"]


class TestSpelling:
    @pytest.fixture
    def learned(self):
        EntryFactory(title="Debian with JupyterLab", os="", creator="Grace")
        EntryFactory(title="Ubuntu with Slurm", os="")
        spelling.learn()

    @pytest.mark.parametrize(
        ("typed", "meant"),
        [
            ("debain", "debian"),
            ("Jupiterlab", "jupyterlab"),
            ("slrum", "slurm"),
            ("ubunto slurm", "ubuntu slurm"),
            ("debian jupyterlba", "debian jupyterlab"),
        ],
    )
    def test_a_mistyped_word_is_taken_for_the_nearest_one(self, learned, typed, meant):
        found = search(f"q={typed}")
        assert found.asked.q == meant
        assert found.instead_of == typed
        assert len(found.entries) == 1

    @pytest.mark.parametrize("typed", ["debian", "deb", "zzzzqq", "de", "x86_64", "9999"])
    def test_what_is_known_or_like_nothing_stays(self, learned, typed):
        assert search(f"q={typed}").instead_of == ""

    def test_who_insists_gets_nothing(self, learned):
        found = search("q=debain&exact=1")
        assert not found.entries
        assert not found.instead_of

    def test_words_that_filters_hide_are_not_mistyped(self, learned):
        found = search("q=debian&os=Plan9")
        assert not found.entries
        assert not found.instead_of

    def test_what_was_meant_is_said_where_filters_hide_it(self, learned):
        found = search("q=slrum&os=Plan9")
        assert not found.entries
        assert (found.instead_of, found.meant) == ("", "slurm")

    def test_private_entries_teach_no_words(self, alice):
        EntryFactory(title="Zeppelin", owner=alice, visibility="private")
        spelling.learn()
        assert not Word.objects.filter(word="zeppelin").exists()
        assert search("q=zepelin", alice).instead_of == ""

    def test_a_correction_that_finds_nothing_is_not_offered(self, learned):
        assert search("q=debain+slurm").instead_of == ""

    def test_learning_again_counts_nothing_twice(self, learned):
        before = Word.objects.get(word="with").entries
        assert spelling.learn() == 0
        EntryFactory(title="with more")
        assert spelling.learn() == 1
        assert Word.objects.get(word="with").entries == before + 1

    def test_what_is_gone_is_forgotten(self, learned):
        Entry.objects.filter(title__startswith="Ubuntu").delete()
        spelling.learn()
        assert not Word.objects.filter(word="slurm").exists()
        assert Word.objects.filter(word="jupyterlab").exists()


class TestFacets:
    @pytest.fixture
    def some(self):
        EntryFactory(title="1", os="Debian", os_version="12", alternative="base")
        EntryFactory(title="2", os="Debian", os_version="11", os_arch="arm64")
        EntryFactory(title="3", os="Fedora", os_version="41", endorser_email="bob@example.org")
        EntryFactory(title="4", os="Fedora", os_version="41", expired=True)
        EntryFactory(title="5", kind="disk", os="", os_version="", os_arch="",
                     locations=["pdisk:x:1"], deprecated="Old.")  # fmt: skip
        EntryFactory(title="6", visibility="private", os="Secret")
        EntryFactory(title="7", valid_until=None, os="Undated")

    def test_each_counts_what_the_others_leave(self, some):
        counts = search("os=Debian").counts
        assert counts.total == 2
        assert counts.of["os"] == {"Debian": 2, "Fedora": 1}
        assert counts.of["version"] == {"12": 1, "11": 1}
        assert counts.of["arch"] == {"x86_64": 1, "arm64": 1}
        assert counts.of["endorser"] == {"alice@example.org": 2}
        assert counts.of["tag"] == {"base": 1}
        assert counts.of["status"] == {"valid": 2, "expired": 0, "deprecated": 0, "all": 2}

    def test_counts_are_what_one_finds_on_going_there(self, some):
        start = Asked.of(QueryDict("status=all"))
        counts = search(start.query).counts
        for name in ("os", "version", "arch", "kind", "endorser", "tag"):
            for value, number in counts.of[name].items():
                link = start.toggled(name, [value])[value].lstrip("?")
                assert search(link).counts.total == number, link
        for place, number in counts.of["location"].items():
            assert search(f"status=all&location={place}").counts.total == number
        for status, number in counts.of["status"].items():
            assert search(f"status={status}").counts.total == number

    def test_several_values_of_one_filter_are_any_of_them(self, some):
        assert set(titles(search("os=Debian&os=Fedora"))) == {"1", "2", "3"}
        assert titles(search("os=Debian&os=Fedora&arch=arm64")) == ["2"]

    @pytest.mark.parametrize("asked", ["Debian", "debian", "DEBIAN"])
    def test_systems_that_differ_in_case_are_one_value(self, asked):
        for os in ("Debian", "Debian", "debian", "Fedora"):
            EntryFactory(os=os)
        found = search(f"os={asked}&os=deBian")
        assert found.counts.total == 3
        assert found.counts.of["os"] == {asked: 3, "Fedora": 1}
        assert search("").counts.of["os"] == {"Debian": 3, "Fedora": 1}

    def test_words_and_facets_add_up(self, some):
        found = search("q=fedora&status=all")
        assert found.counts.total == 2
        assert found.counts.of["status"] == {"valid": 1, "expired": 1, "deprecated": 0, "all": 2}

    def test_what_one_may_not_see_is_not_counted(self, some):
        counts = search("status=all").counts
        assert "Secret" not in counts.of["os"]
        assert "Undated" not in counts.of["os"]

    def test_a_value_that_is_chosen_is_counted_however_rare(self, monkeypatch):
        monkeypatch.setattr("marketplace.search.facets.MOST_VALUES", 2)
        for n in range(4):
            EntryFactory(endorser_email=f"p{n}@example.org")
            EntryFactory(endorser_email="most@example.org")
        counted = search("endorser=p3@example.org").counts.of["endorser"]
        assert counted == {"p3@example.org": 1, "most@example.org": 4}


class TestSorting:
    @pytest.mark.parametrize("sort", ["os", "version", "arch", "kind", "endorser", "date"])
    def test_up_is_the_reverse_of_down(self, sort):
        for n in range(3):
            EntryFactory(title=str(n), os=f"os{n}", os_version=f"{n}", os_arch=f"arch{n}",
                         kind=["disk", "machine", "machine"][n],
                         endorser_email=f"p{n}@example.org")  # fmt: skip
        up, down = titles(search(f"sort={sort}")), titles(search(f"sort=-{sort}"))
        assert up[0] == down[-1] == "0"

    def test_pages_have_every_entry_once(self):
        for n in range(7):
            EntryFactory(title=str(n), os="same")
        seen = [t for page in (1, 2, 3) for t in titles(search("sort=os", page=page, size=3))]
        assert sorted(seen) == list("0123456")


class TestAddresses:
    def test_what_makes_no_sense_is_left_out(self):
        odd = "status=x&location=y&sort=z&view=w&kind=&os=&page=9&foo=bar&official=yes"
        assert Asked.of(QueryDict(odd)) == Asked()
        assert Asked().query == ""

    def test_an_address_says_what_is_asked_and_nothing_else(self):
        query = "q=a+b&os=Debian&os=Fedora&official=1&status=all&sort=-os&view=table"
        asked = Asked.of(QueryDict(query))
        assert Asked.of(QueryDict(asked.query)) == asked
        assert asked.toggled("os", ["Debian"])["Debian"] == "?" + asked.query.replace(
            "os=Debian&", ""
        )

    def test_a_filter_has_so_many_values_and_no_more(self):
        many = "&".join(f"os={n}" for n in range(1000))
        assert len(Asked.of(QueryDict(many)).os) == MOST_VALUES


def test_queries_stay_the_same_number(django_assert_num_queries, django_assert_max_num_queries):
    EntryFactory()
    with django_assert_max_num_queries(8) as few:
        search("q=image&os=Debian&endorser=alice@example.org&status=all")
    for n in range(30):
        EntryFactory(os=f"os {n}", endorser_email=f"p{n}@example.org", alternative=f"t{n}")
    with django_assert_num_queries(len(few)):
        search("q=image&status=all")


@pytest.mark.slow
def test_lists_read_narrow_indexes_alone():
    call_command("seed_demo", machines=0, entries=300, force=True, verbosity=0)
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL chooses by its statistics")
    for query in ("", "q=debian", "os=Debian", "tag=x", "sort=endorser", "status=all&location=web"):
        asked = Asked.of(QueryDict(query))
        rows = Entry.objects.visible_to(AnonymousUser()).listed().newest()
        for plan in _plans(rows, asked):
            assert "USING COVERING INDEX" in plan, (query, plan)


def _plans(rows, asked):
    from django.test.utils import CaptureQueriesContext  # noqa: PLC0415

    with CaptureQueriesContext(connection) as asked_for:
        find(asked, AnonymousUser(), size=24)
    narrow = [q["sql"] for q in asked_for if re.search(r"COUNT\(", q["sql"])]
    with connection.cursor() as cursor:
        for sql in narrow:
            cursor.execute("EXPLAIN QUERY PLAN " + sql.replace("%", "%%"))
            yield " ".join(row[3] for row in cursor.fetchall())
