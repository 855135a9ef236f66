"""Tables of machines: read, judged row by row, corrected in place, launched."""

from contextlib import suppress
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from marketplace.tests.factories import EntryFactory
from registration.tests.factories import SshKeyFactory, UserFactory
from vms.batches import tables
from vms.batches.tables import COLUMNS, Unreadable
from vms.models import VM, Batch, InstanceType, Recipe
from volumes.tests.factories import VolumeFactory

# Reading -------------------------------------------------------------------------------------


def test_csv_and_yaml_say_the_same():
    csv = "name,image,disks\nweb-1,Demo,a:read; b\nweb-2,Demo,\n"
    yaml = "- name: web-1\n  image: Demo\n  disks: ['a:read', b]\n- {name: web-2, image: Demo}\n"
    assert tables.read(csv) == tables.read(yaml)


@pytest.mark.parametrize("text", ["name;image\nweb;Demo", "\ufeffname\timage\r\nweb\tDemo\r\n",
                                  "Image,Name,Size\nDemo,web,m1", "machines:\n- {name: web, image: Demo}"])  # fmt: skip  # noqa: E501
def test_tables_of_many_programs_are_read(text):
    [row] = tables.read(text)
    assert (row.cell("name"), row.cell("image")) == ("web", "Demo")


def test_names_stay_what_they_are_in_yaml():
    rows = tables.read("- {name: no, image: x}\n- {name: 1.10, image: x}")
    assert [row.cell("name") for row in rows] == ["no", "1.10"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        (";", "empty"),
        ("name,image\n", "no machine in it"),
        ("name\nweb", "names the columns"),
        ("name,image,colour\nweb,Demo,red", "“colour” is no column"),
        ("name,image,image\nweb,a,b", "twice"),
        ("name,image\nweb,Demo,x", "Line 2 has 3 cells"),
        ('name,image\nweb,"Demo', "no CSV"),
        ("- name: [1", "no valid YAML, line"),
        ("- {name: {a: b}, image: x}", "Machine 1, name"),
        ("- [1]", "no mapping"),
        ("machines: 5", "a list of machines"),
        ("name,image\n" + "web,Demo\n" * 201, "201 machines; a table has 200"),
        ("name,image\nweb," + "x" * 5000, "Row 1, image: 5000 characters"),
        ("name,image\nweb,\0", "NUL"),
        ("x" * 300_000, "262144 is the most"),
    ],
)
def test_what_is_no_table_is_refused_with_the_place(text, said):
    with pytest.raises(Unreadable) as error:
        tables.read(text)
    assert said in str(error.value)


def test_a_bomb_of_aliases_is_refused_at_once():
    bomb = "- &a [x, x, x, x, x, x, x, x]\n" + "".join(
        f"- &{two} [{', '.join(['*' + one] * 8)}]\n"
        for one, two in zip("abcdefgh", "bcdefghi", strict=True)
    )
    with pytest.raises(Unreadable):
        tables.read(bomb)


@given(st.text(max_size=300))
def test_no_text_breaks_the_reader(text):
    rows = []
    with suppress(Unreadable):
        rows = tables.read(text)
    assert all(set(row.cells) == set(COLUMNS) for row in rows)


@pytest.mark.parametrize("ending", ["csv", "yaml"])
def test_templates_are_tables(ending):
    assert len(tables.read(tables.TEMPLATES[ending])) >= 2


# The page ------------------------------------------------------------------------------------


@pytest.fixture
def alice(client):
    user = UserFactory(quota_machines=10, quota_vcpus=10)
    client.force_login(user)
    InstanceType.objects.all().delete()
    InstanceType.objects.create(name="m1.small", vcpus=1, memory_mib=512, is_default=True)
    InstanceType.objects.create(name="m1.large", vcpus=8, memory_mib=4096)
    SshKeyFactory(owner=user, name="laptop", is_default=True)
    return user


@pytest.fixture
def demo(db):
    return EntryFactory(title="Demo", alternative="demo-tag")


def paste(client, text, **more):
    form = {"key": uuid4(), "text": text, "do": "check", "all_or_nothing": "on", **more}
    return client.post("/vms/batches/new/", form)


def cells(*rows):
    """The fields of a table that was read: a blank row at its end, as the page has one."""
    return {name: [row.get(name, "") for row in (*rows, {})] for name in COLUMNS}


def send(client, *rows, do="launch", key=None, **more):
    form = {"key": key or uuid4(), "do": do, "all_or_nothing": "on", **cells(*rows), **more}
    return client.post("/vms/batches/new/", form)


@pytest.mark.django_db
def test_a_pasted_table_is_checked_before_anything_starts(client, alice, demo):
    page = paste(client, "name,image\nweb,Demo\ndb,demo-tag\nold,Nothing\n")
    text = page.content.decode()
    assert page.status_code == 422
    assert "1 of 3 rows cannot be launched" in text
    assert "There is no image with the identifier, tag or title “Nothing”." in text
    assert "you hold 0, the rows that are fine need 2, of 10" in text
    assert 'value="old"' in text
    assert not VM.objects.exists()


@pytest.mark.django_db
def test_a_title_that_is_nearly_right_is_answered_with_the_right_one(client, alice, demo):
    EntryFactory(title="Debian 12 with R")
    EntryFactory(title="Debian 12, secret", visibility="private")
    text = paste(client, "name,image\nweb,debian 12\n").content.decode()
    assert "Did you mean “Debian 12 with R”?" in text
    assert "secret" not in text


@pytest.mark.django_db
def test_the_table_is_corrected_in_place_and_launched(client, alice, demo):
    rows = {"name": "web", "image": demo.identifier}, {"name": "db", "image": "Demo"}
    answer = send(client, *rows, batch_name="two")
    batch = Batch.objects.get()
    assert answer.url == batch.get_absolute_url()
    assert (batch.name, [vm.name for vm in batch.vms.order_by("pk")]) == ("two", ["web", "db"])
    assert VM.objects.first().ssh_keys == alice.ssh_keys.get().public_key


@pytest.mark.django_db
def test_the_same_table_sent_twice_is_one_batch(client, alice, demo):
    disk, key = VolumeFactory(owner=alice, tag="data"), uuid4()
    for _ in range(2):
        send(client, {"name": "web", "image": "Demo", "disks": "data"}, key=key)
    assert Batch.objects.count() == VM.objects.count() == 1
    assert disk.attachments.count() == 1


@pytest.mark.django_db
def test_an_uploaded_file_is_read_like_a_pasted_text(client, alice, demo):
    file = SimpleUploadedFile("machines.yaml", b"- {name: web, image: Demo}")
    assert "Every row is fine" in paste(client, "", file=file).content.decode()
    bad = SimpleUploadedFile("machines.csv", b"name,image\nw\xe9b,Demo")
    assert "is not UTF-8 text: its byte 13" in paste(client, "", file=bad).content.decode()


@pytest.mark.django_db
def test_all_or_nothing_launches_nothing_while_a_row_is_wrong(client, alice, demo):
    rows = [{"name": "web", "image": "Demo"}, {"name": "", "image": "Demo"}]
    page = send(client, *rows)
    assert page.status_code == 422
    assert "Nothing was launched" in page.content.decode()
    assert not VM.objects.exists()


@pytest.mark.django_db
def test_without_it_the_rest_is_launched_and_the_batch_names_the_rows(client, alice, demo):
    send(client, {"name": "", "image": "Demo"}, {"name": "web", "image": "Demo"},
         all_or_nothing="")  # fmt: skip
    batch = Batch.objects.get()
    assert (batch.asked, batch.vms.count()) == (2, 1)
    assert batch.refused == [{"row": 1, "name": "", "reason": "The name is missing."}]


@pytest.mark.django_db
def test_a_table_beyond_the_quota_says_how_many_fit(client, alice, demo):
    rows = [{"name": f"web-{n}", "image": "Demo", "type": "m1.large"} for n in range(2)]
    page = send(client, *rows, do="check").content.decode()
    assert "Only the first one fits." in page
    assert send(client, *rows).status_code == 422
    assert not VM.objects.exists()


@pytest.mark.parametrize(
    ("column", "text", "said"),
    [
        ("name", "x" * 81, "at most 80 characters"),
        ("image", "", "The image is missing"),
        ("image", "Twice", "2 images are called “Twice”"),
        ("image", "https://elsewhere.example/metadata/x", "another site"),
        ("type", "m9", "There is no size “m9”: choose of m1.small, m1.large."),
        ("disks", "mine; mine", "there twice"),
        ("disks", "nothing", "You have no disk “nothing”"),
        ("disks", "secret", "You have no disk “secret”"),
        ("disks", "same", "2 disks have the tag"),
        ("keys", "phone", "You have no SSH key “phone”"),
        ("keys", "ssh-ed25519 AAAA", "key"),
        ("recipe", "mine", "There is no recipe “mine” for you."),
    ],
)
@pytest.mark.django_db
def test_what_is_wrong_stands_beside_its_cell(client, alice, demo, column, text, said):
    EntryFactory(title="Twice"), EntryFactory(title="Twice")
    VolumeFactory(owner=alice, tag="mine"), VolumeFactory(tag="secret")
    VolumeFactory.create_batch(2, owner=alice, tag="same")
    Recipe.objects.create(owner=UserFactory(), name="mine")
    row = {"name": "web", "image": "Demo", column: text}
    page = send(client, row, do="check")
    assert page.status_code == 422
    before = page.content.decode().split(f'id="wrong-1-{column}">')[1]
    assert said in before.split("</span>")[0]


@pytest.mark.django_db
def test_a_disk_to_write_is_in_one_row(client, alice, demo):
    VolumeFactory(owner=alice, tag="data")
    rows = [{"name": "a", "image": "Demo", "disks": "data"},
            {"name": "b", "image": "Demo", "disks": "data:read"}]  # fmt: skip
    assert "data is in row 1 too" in send(client, *rows, do="check").content.decode()
    rows[0]["disks"] = "data:ro"
    assert "Every row is fine" in send(client, *rows, do="check").content.decode()


@pytest.mark.django_db
def test_keys_and_recipes_are_named_in_the_table(client, alice, demo):
    part = {"type": "x-shellscript", "name": "a.sh", "text": "#!/bin/sh\necho hi\n"}
    Recipe.objects.create(owner=alice, name="hello", context={"parts": [part]})
    send(client, {"name": "a", "image": "Demo", "keys": "none", "recipe": "hello"})
    vm = VM.objects.get()
    assert vm.ssh_keys == ""
    assert "echo hi" in vm.user_data


@pytest.mark.django_db
def test_a_private_image_of_somebody_else_is_not_found(client, alice):
    EntryFactory(title="Hidden", visibility="private", owner=UserFactory())
    page = send(client, {"name": "a", "image": "Hidden"}, do="check").content.decode()
    assert "There is no image with the identifier, tag or title “Hidden”." in page


@pytest.mark.django_db
def test_nothing_in_a_table_is_run_by_the_page(client, alice, demo):
    page = send(client, {"name": "<script>alert(1)</script>", "image": '"><b>'}, do="check")
    assert b"<script>alert" not in page.content
    assert b'"><b>' not in page.content


@pytest.mark.django_db
def test_a_check_asks_as_often_for_a_long_table(client, alice, demo):
    counts = []
    for number in (2, 8):
        with CaptureQueriesContext(connection) as queries:
            send(client, *[{"name": f"w{n}", "image": "Demo"} for n in range(number)], do="check")
        counts.append(len(queries))
    assert counts[0] == counts[1]


@pytest.mark.django_db
def test_a_table_of_two_hundred_machines_is_checked(client, alice, demo):
    page = send(client, *[{"name": f"w{n}", "image": "Demo"} for n in range(200)], do="check")
    assert "Only the first 10 fit." in page.content.decode()


@pytest.mark.django_db
def test_templates_are_there_to_download(client, alice):
    answer = client.get("/vms/batches/template.csv")
    assert answer["Content-Disposition"] == 'attachment; filename="machines.csv"'
    assert client.get("/vms/batches/template.exe").status_code == 404


def test_a_table_that_is_nested_without_an_end_is_refused():
    with pytest.raises(Unreadable, match="no valid YAML"):
        tables.read("- " + "[" * 250_000)
