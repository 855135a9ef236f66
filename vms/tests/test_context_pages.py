"""Contextualization in the browser: filled in, looked at, launched with, kept and shown."""

import html
import io
import re
from uuid import uuid4

import pycdlib
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from core.models import Event
from marketplace.tests.factories import EntryFactory
from registration.models import Group, Membership
from registration.tests.factories import SshKeyFactory, UserFactory
from vms.context import Context, Part, as_json, cloud_init_txt, packed_bytes, user_data
from vms.models import VM, Recipe
from vms.tests.factories import VMFactory
from vms.tests.test_context import CONFIG, HELLO, KEY, decode, leaves

pytestmark = pytest.mark.django_db

GOOD = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEJ8kTTs2RA6h3KAIKQ4GdfzG2F0hnxvGXuNSk5nSOyA alice@lab"


@pytest.fixture
def alice():
    return UserFactory(username="alice")


@pytest.fixture
def browser(client, alice):
    client.force_login(alice)
    return client


@pytest.fixture
def entry():
    return EntryFactory()


def rows(*parts):
    return {
        "part_type": [part.subtype for part in parts],
        "part_name": [part.name for part in parts],
        "part_text": [part.text for part in parts],
    }


def send(browser, entry, *parts, **fields):
    answers = {"launch_key": str(uuid4()), "name": "web", "type_name": "m1.small",
               "without_key": "on", **rows(*parts), **fields}  # fmt: skip
    return browser.post(f"/vms/launch/?image={entry.identifier}", answers)


def shown(response):
    return [(part.subtype, part.name) for part in response.context["form"].part_rows]


def test_parts_are_launched_in_their_order(browser, entry):
    assert send(browser, entry, CONFIG, HELLO).status_code == 302
    vm = VM.objects.get()
    assert vm.user_data == user_data(Context(parts=(CONFIG, HELLO)))
    assert vm.told == Context(parts=(CONFIG, HELLO))
    assert vm.spec().user_data == vm.user_data


def test_types_and_names_that_are_left_blank_are_found(browser, entry):
    blank = [Part("", "", HELLO.text.replace("\n", "\r\n")), Part("", "", CONFIG.text)]
    send(browser, entry, *blank, Part("", "", "\r\n"))
    assert [(part.subtype, part.name) for part in VM.objects.get().told.parts] == [
        ("x-shellscript", "script-1.sh"), ("cloud-config", "config-2.yaml"),
    ]  # fmt: skip
    assert VM.objects.get().told.parts[0].text == HELLO.text


def test_files_become_parts_after_the_others(browser, entry):
    file = SimpleUploadedFile("more.sh", b"#!/bin/sh\ntrue\n")
    send(browser, entry, HELLO, part_files=[file])
    assert [part.name for part in VM.objects.get().told.parts] == ["hello.sh", "more.sh"]


def test_a_file_that_is_no_text_is_named(browser, entry):
    response = send(browser, entry, part_files=[SimpleUploadedFile("a.bin", b"\xff\xfe\0")])
    assert response.status_code == 422
    assert "a.bin: It is no text in UTF-8" in response.content.decode()


@pytest.mark.parametrize(
    ("do", "names"),
    [
        ("up:2", ["hello.sh", "cfg.yaml"]),
        ("down:1", ["hello.sh", "cfg.yaml"]),
        ("up:1", ["cfg.yaml", "hello.sh"]),
        ("down:2", ["cfg.yaml", "hello.sh"]),
        ("drop:1", ["hello.sh"]),
        ("add", ["cfg.yaml", "hello.sh", ""]),
        ("up:99", ["cfg.yaml", "hello.sh"]),
        ("nonsense:²", ["cfg.yaml", "hello.sh"]),
    ],
)
def test_parts_are_moved_without_script_and_nothing_else_is_lost(browser, entry, do, names):
    response = send(browser, entry, CONFIG, HELLO, context_do=do, name="kept", pairs="A=b")
    assert response.status_code == 200
    assert [name for _, name in shown(response)] == names
    assert response.context["form"]["name"].value() == "kept"
    assert response.context["form"]["pairs"].value() == "A=b"
    assert not response.context["form"].errors
    assert not VM.objects.exists()


@pytest.mark.parametrize("text", ["#!/bin/sh\necho\n", "\n\n#!/bin/sh\n", "  #!/bin/sh"])
def test_a_text_comes_back_in_its_field_to_the_byte(browser, entry, text):
    part = Part("x-shellscript", "a.sh", text)
    page = send(browser, entry, part, context_do="add").content.decode()
    (shown_text,) = re.findall(r'id="part-1-text"[^>]*>(.*?)</textarea>', page, re.DOTALL)
    # Browsers drop one end of line at the beginning, written as a character or as a number.
    assert html.unescape(shown_text).removeprefix("\n") == text


def test_a_cloud_init_txt_is_opened_and_launched_with(browser, entry):
    text = cloud_init_txt(Context(parts=(CONFIG, HELLO)), [GOOD])
    file = SimpleUploadedFile("cloud-init.txt", text.encode())
    response = send(browser, entry, context_do="open", context_file=file)
    assert shown(response) == [("cloud-config", "cfg.yaml"), ("x-shellscript", "hello.sh")]
    assert response.context["form"]["extra_keys"].value() == GOOD
    file.seek(0)
    assert send(browser, entry, context_file=file, without_key="").status_code == 302
    vm = VM.objects.get()
    assert (vm.user_data, vm.ssh_keys) == (user_data(Context(parts=(CONFIG, HELLO))), GOOD)


def test_a_literal_cloud_init_txt_comes_back_to_the_byte(browser, entry):
    text = cloud_init_txt(Context(literal=HELLO.text), [])
    send(browser, entry, context_file=SimpleUploadedFile("cloud-init.txt", text.encode()))
    assert VM.objects.get().user_data == HELLO.text


def test_a_file_of_pairs_is_opened_too(browser, entry):
    file = SimpleUploadedFile("context.txt", b"COLOUR=blue\nPLACE=a=b\n")
    send(browser, entry, context_file=file, context_method="one", script_exec="touch /root/x")
    vm = VM.objects.get()
    assert vm.context_method == "one"
    assert dict(vm.told.pairs) == {"COLOUR": "blue", "PLACE": "a=b", "SCRIPT_EXEC": "touch /root/x"}
    spec = vm.spec()
    assert (spec.context_method, spec.context["COLOUR"]) == ("one", "blue")


@pytest.mark.parametrize("do", ["open", ""])
def test_a_damaged_file_says_why_and_launches_nothing(browser, entry, do):
    file = SimpleUploadedFile("c.txt", b"CONTEXT_METHOD=cloud-init\nCLOUD_INIT_USER_DATA=*\n")
    response = send(browser, entry, context_do=do, context_file=file)
    assert response.status_code == 422
    assert "the file is damaged" in response.content.decode()
    assert not VM.objects.exists()


def test_a_line_without_an_equals_sign_is_named(browser, entry):
    response = send(browser, entry, pairs="A=1\nnonsense")
    assert "Line 2 has no “=”: “nonsense”" in str(response.context["form"].errors["pairs"])


def test_a_warning_is_asked_about_once(browser, entry):
    typo = Part("cloud-config", "a.yaml", "#cloud-config\npackage: [vim]\n")
    response = send(browser, entry, typo)
    assert response.status_code == 422
    assert "Did you mean “packages”?" in str(response.context["form"].errors["anyway"])
    assert send(browser, entry, typo, anyway="on").status_code == 302


def test_the_profiles_method_is_the_one_to_begin_with(browser, alice, entry, settings):
    url = f"/vms/launch/?image={entry.identifier}"
    assert browser.get(url).context["form"]["context_method"].value() == "cloud-init"
    settings.PORTAL_CONTEXT_METHOD = "opennebula"
    assert browser.get(url).context["form"]["context_method"].value() == "one"
    alice.default_context_method = "cloud-init"
    alice.save()
    assert browser.get(url).context["form"]["context_method"].value() == "cloud-init"


def test_more_keys_are_for_this_machine_only(browser, alice, entry):
    send(browser, entry, without_key="", extra_keys=f"Comment: mine\n{GOOD}\n\n{GOOD}")
    assert VM.objects.get().ssh_keys == GOOD
    assert not alice.ssh_keys.exists()


@pytest.mark.parametrize("fields", [{}, {"context_do": "add"}])
def test_a_private_key_does_not_come_back_in_the_page(browser, entry, fields):
    secret = "-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n"
    response = send(browser, entry, extra_keys=secret, **fields)
    assert response.status_code == 422
    assert "c2VjcmV0" not in response.content.decode()


# looked at -----------------------------------------------------------------------------------


def test_the_check_tells_the_size_the_problems_and_what_the_guest_gets(browser, alice):
    SshKeyFactory(owner=alice, is_default=True)
    page = browser.post("/vms/context/check/", {"name": "My web", **rows(CONFIG, HELLO)})
    text = page.content.decode()
    look = page.context["look"]
    assert "of 16384 bytes" in text
    assert (look.lines, look.keys, look.label) == ([], 1, "cidata")
    files = dict(look.files)
    assert files["user-data"] == user_data(Context(parts=(CONFIG, HELLO)))
    assert "my-web" in files["meta-data"]


def test_the_check_counts_what_is_over_the_limit(browser):
    noise = "".join(f"{n * 7919 % 1000003:x}" for n in range(20_000))
    big = Part("x-shellscript", "a.sh", f"#!/bin/sh\n{noise}")
    look = browser.post("/vms/context/check/", rows(big)).context["look"]
    assert look.is_over
    assert f"{look.packed} bytes after gzip; the limit is 16384" in look.lines[0].sentence


def test_a_part_with_an_error_is_counted_and_nothing_is_shown_without_it(browser):
    bad = Part("cloud-config", "web.yaml", "#cloud-config\nruncmd: [\n")
    look = browser.post("/vms/context/check/", rows(HELLO, bad)).context["look"]
    assert "Part 2, web.yaml: This is no valid YAML" in look.lines[0].sentence
    assert look.packed == packed_bytes(user_data(Context(parts=(HELLO, bad))))
    assert not look.files


def test_parts_that_are_too_large_are_said_to_be_so_not_the_literal_data(browser, entry):
    noise = "".join(f"{n * 7919 % 1000003:x}" for n in range(20_000))
    page = send(browser, entry, Part("x-shellscript", "a.sh", f"#!/bin/sh\n{noise}"))
    errors = page.context["form"].errors
    assert "the limit is 16384" in errors["parts"][0]
    assert "user_data" not in errors


def test_the_check_warns_of_an_old_python(browser):
    old = EntryFactory(os="CentOS", os_version="6.9")
    page = browser.get(f"/vms/launch/?image={old.identifier}")
    assert "Python older than 2.7.3" in page.content.decode()


@pytest.mark.parametrize("text", ["\ufeff", "\x0b", "\x1b[31m", "<script>alert(1)</script>"])
def test_the_check_survives_what_is_typed(browser, text):
    page = browser.post("/vms/context/check/", {**rows(Part(text, text, text)), "pairs": text})
    assert page.status_code == 200
    assert "<script>alert" not in page.content.decode()


def test_the_exact_file_is_downloaded_before_the_launch(browser):
    answer = browser.post(
        "/vms/context/cloud-init.txt", {**rows(CONFIG, HELLO), "extra_keys": GOOD}
    )
    keys, data = decode(b"".join(answer.streaming_content).decode())
    assert keys == f"{GOOD}\n"
    assert [name for _, name, _ in leaves(data)] == ["cfg.yaml", "hello.sh"]
    assert 'filename="cloud-init.txt"' in answer["Content-Disposition"]
    bad = browser.post("/vms/context/cloud-init.txt", rows(Part("cloud-config", "a", "a: [")))
    assert bad.status_code == 422


def test_a_machine_shows_what_it_was_told_and_nobody_else_sees_it(browser, client):
    told = Context(parts=(CONFIG, HELLO))
    vm = VMFactory(owner__username="bob", ssh_keys=KEY, user_data=user_data(told),
                   context=as_json(told))  # fmt: skip
    assert client.get(f"/vms/{vm.uuid}/seed/").status_code == 404
    client.force_login(vm.owner)
    page = client.get(f"/vms/{vm.uuid}/seed/")
    assert dict(page.context["files"])["user-data"] == vm.user_data
    answer = client.get(f"/vms/{vm.uuid}/seed/?file=user-data")
    assert b"".join(answer.streaming_content).decode() == vm.user_data
    text = b"".join(client.get(f"/vms/{vm.uuid}/seed/?file=cloud-init.txt").streaming_content)
    assert decode(text.decode()) == (f"{KEY}\n", vm.user_data)
    assert client.get(f"/vms/{vm.uuid}/seed/?file=../etc/passwd").status_code == 404


def test_the_medium_of_a_hepix_machine_is_labelled_as_its_guests_look_for(client):
    vm = VMFactory(context_method="one", context={"pairs": {"COLOUR": "it's blue"}})
    client.force_login(vm.owner)
    data = b"".join(client.get(f"/vms/{vm.uuid}/seed/?file=seed.iso").streaming_content)
    disk = pycdlib.PyCdlib()
    disk.open_fp(io.BytesIO(data))
    assert disk.pvd.volume_identifier.decode().strip() == "_STRATUSLAB"
    found = io.BytesIO()
    disk.get_file_from_iso_fp(found, rr_path="/context.sh")
    assert b"COLOUR='it'\"'\"'s blue'" in found.getvalue()
    assert client.get(f"/vms/{vm.uuid}/seed/").context["is_exchanged"] is False


def test_the_portals_own_parts_are_not_shown(client):
    secret = Part("x-shellscript", "00-portal.sh", "#!/bin/sh\n# SECRET\n")
    vm = VMFactory(
        user_data=HELLO.text, context={"system": as_json(Context(parts=(secret,)))["parts"]}
    )
    assert "SECRET" in vm.spec().user_data
    client.force_login(vm.owner)
    for query in ("", "?file=user-data", "?file=seed.iso", "?file=cloud-init.txt"):
        answer = client.get(f"/vms/{vm.uuid}/seed/{query}")
        data = answer.content if not answer.streaming else b"".join(answer.streaming_content)
        assert b"SECRET" not in data
    assert client.get(f"/vms/{vm.uuid}/seed/").context["hidden"]


# recipes -------------------------------------------------------------------------------------


def recipe_of(owner, **fields):
    told = as_json(Context(parts=(HELLO,)))
    return Recipe.objects.create(owner=owner, name="hello", context=told, **fields)


def test_two_recipes_are_supplied_and_pass_the_check(browser, entry):
    page = browser.get("/vms/recipes/").content.decode()
    for recipe in Recipe.objects.filter(owner=None):
        assert recipe.name in page
        assert browser.get(recipe.get_absolute_url()).context["look"].lines == []
    web = Recipe.objects.get(owner=None, name="Web server")
    form = browser.get(f"/vms/launch/?image={entry.identifier}&recipe={web.uuid}").context["form"]
    assert [part.name for part in form.part_rows] == ["web-server.yaml", "web-page.sh"]


def test_a_recipe_is_made_changed_and_deleted(browser, alice):
    made = browser.post("/vms/recipes/new/", {"name": " my  hello ", **rows(HELLO)})
    recipe = Recipe.objects.get(owner=alice)
    assert (made.url, recipe.name) == (recipe.get_absolute_url(), "my hello")
    assert recipe.told == Context(parts=(HELLO,))
    browser.post(recipe.get_absolute_url(), {"name": "other", "description": "d", **rows(CONFIG)})
    recipe.refresh_from_db()
    assert (recipe.name, recipe.description, recipe.told.parts) == ("other", "d", (CONFIG,))
    browser.post(f"/vms/recipes/{recipe.uuid}/delete/")
    assert not Recipe.objects.filter(owner=alice).exists()
    verbs = Event.objects.of(recipe.uuid).values_list("verb", flat=True)
    assert set(verbs) == {"recipe_saved", "recipe_changed", "recipe_deleted"}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": ""}, "Give it a name"),
        ({"name": "x"}, "There is nothing in it"),
        ({"name": "hello", **rows(HELLO)}, "a recipe called “hello” already"),
        ({"name": "x", **rows(Part("x-shellscript", "a", "echo"))}, "A script begins with #!"),
    ],
)
def test_a_recipe_that_cannot_be_kept_says_why(browser, alice, fields, said):
    recipe_of(alice)
    response = browser.post("/vms/recipes/new/", fields)
    assert response.status_code == 422
    assert said in response.content.decode()


def test_a_recipe_is_shared_with_a_group_to_use_and_to_copy(browser, alice, client):
    group = Group.objects.create(name="lab")
    for user in (alice, bob := UserFactory(username="bob")):
        Membership.objects.create(group=group, user=user)
    recipe = recipe_of(alice, group=group)
    stranger = UserFactory(username="carol")
    client.force_login(stranger)
    assert client.get(recipe.get_absolute_url()).status_code == 404
    client.force_login(bob)
    assert client.get(recipe.get_absolute_url()).status_code == 200
    copy = client.get(f"/vms/recipes/new/?from={recipe.uuid}").context["form"]
    assert copy.part_rows == [HELLO]
    client.post(f"/vms/recipes/{recipe.uuid}/delete/")
    client.post(recipe.get_absolute_url(), {"name": "mine now"})
    recipe.refresh_from_db()
    assert recipe.name == "hello"


def test_a_group_that_one_is_not_in_is_no_choice(browser, alice):
    group = Group.objects.create(name="theirs")
    fields = {"name": "x", "group": str(group.uuid), **rows(HELLO)}
    browser.post("/vms/recipes/new/", fields)
    assert not Recipe.objects.filter(group=group).exists()


def test_the_form_is_kept_as_a_recipe_and_used_again(browser, alice, entry):
    fields = {"context_do": "save", "recipe_name": "kept", "recipe_description": "what"}
    response = send(browser, entry, HELLO, **fields)
    recipe = Recipe.objects.get(owner=alice)
    assert (recipe.name, recipe.told.parts) == ("kept", (HELLO,))
    assert "The recipe kept is saved" in response.content.decode()
    response = send(browser, entry, CONFIG, context_do="recipe", recipe=str(recipe.uuid))
    assert [name for _, name in shown(response)] == ["cfg.yaml", "hello.sh"]
    theirs = recipe_of(UserFactory())
    response = send(browser, entry, context_do="recipe", recipe=str(theirs.uuid))
    assert (response.status_code, shown(response)) == (422, [])


def test_the_launch_page_costs_the_same_for_many_recipes(
    browser, alice, entry, django_assert_max_num_queries, django_assert_num_queries
):
    url = f"/vms/launch/?image={entry.identifier}"
    browser.get(url)
    with django_assert_max_num_queries(60) as first:
        browser.get(url)
    group = Group.objects.create(name="lab")
    for number in range(10):
        Recipe.objects.create(owner=alice, name=f"r{number}", group=group, context={})
    with django_assert_num_queries(len(first)):
        browser.get(url)


def test_a_recipe_that_was_chosen_first_waits_for_its_image(browser, alice, entry):
    recipe = recipe_of(alice)
    page = browser.get(f"/vms/launch/?recipe={recipe.uuid}")
    assert "is filled in on the page that follows" in page.content.decode()
    page = browser.get(f"/vms/launch/?image={entry.identifier}", follow=True)
    assert page.context["form"].part_rows == [HELLO]
    page = browser.get(f"/vms/launch/?image={entry.identifier}")
    assert page.context["form"].part_rows == []
