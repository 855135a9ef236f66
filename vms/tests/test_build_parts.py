"""The pure parts of an image in the making: recipe, steps, agent, and what a guest says."""

import re
import shutil
import subprocess
import time

import pytest

from vms import building
from vms.building import DEFAULT_EXCLUDES, Recipe, Said, Script, logs, markers
from vms.building.excludes import problem, words

NONCE = "0123456789abcdef"


def sentences(recipe):
    return [sentence for _, sentence in building.problems(recipe)]


@pytest.mark.parametrize(
    ("base", "next_one"),
    [("1.3", "1.4"), ("12", "12.1"), ("1.3.7", "1.4"), ("v2.9", "2.10"), ("", "1.0"),
     ("latest", "1.0")],
)  # fmt: skip
def test_an_image_has_the_minor_version_after_that_of_its_base(base, next_one):
    assert building.next_version(base) == next_one


@pytest.mark.parametrize(
    ("os", "version", "installer"),
    [("Debian", "12", "apt"), ("ubuntu", "22.04", "apt"), ("Fedora", "39", "dnf"),
     ("CentOS", "6.2", "yum"), ("CentOS Stream", "9", "dnf"), ("sl", "7", "yum"),
     ("Red Hat Enterprise Linux", "9.1", "dnf"), ("Alpine Linux", "3.19", "apk"),
     ("Linux", "1.1", ""), ("none", "", ""), ("", "", "")],
)  # fmt: skip
def test_the_installer_follows_from_the_system(os, version, installer):
    assert building.guess(os, version) == installer


def test_the_recipe_survives_being_kept():
    recipe = Recipe(
        prerecipe="true\n", installer="apt", repositories=("http://a/",), packages=("nginx",),
        recipe="true\n", scripts=(Script(name="a", text="x", arguments=("1", "2")),),
        excludes=("/srv/x",),
    )  # fmt: skip
    assert Recipe.from_json(recipe.as_json()) == recipe


@pytest.mark.parametrize("name", ["-rf", "a;b", "$(id)", "a b", "", "x" * 129, "a\nb", "é"])
def test_what_is_no_name_of_a_package_is_refused(name):
    assert "is no name of a package" in sentences(Recipe(installer="apt", packages=(name,)))[0]


def test_packages_need_an_installer():
    assert "Choose what installs packages" in sentences(Recipe(packages=("nginx",)))[0]


def test_too_much_is_refused_with_its_limit():
    many = tuple(Script(name=str(number), text="x") for number in range(21))
    assert sentences(Recipe(scripts=many)) == ["These are 21 scripts; 20 at most."]
    assert "64 KiB at most" in sentences(Recipe(recipe="x" * 70_000))[0]
    big = tuple(Script(name=str(number), text="x" * 60_000) for number in range(5))
    assert "256 KiB" in sentences(Recipe(scripts=big))[0]


@pytest.mark.parametrize(
    "path",
    ["/", "/*", "//*", "/etc", "/etc/", "/usr/*", "/var/*", "/[a-z]*", "relative", "/a/../etc",
     "/proc/1", "/sys/x", "/dev/sda", "/a\nb", ""],
)  # fmt: skip
def test_what_would_leave_no_system_is_not_removed(path):
    assert problem(path)


@pytest.mark.parametrize("path", [*DEFAULT_EXCLUDES, "/srv", "/opt/a b", "/var/log/*", "/home/*"])
def test_other_paths_are(path):
    assert problem(path) == ""


def test_what_is_removed_is_quoted_but_for_its_wild_cards(tmp_path):
    odd = tmp_path / "a b;$(touch pwned)'\"x"
    odd.mkdir()
    for name in ("one", ".hidden", "..two"):
        (odd / name).touch()
    (tmp_path / "stays").touch()
    line = " ".join(words(f"{odd}/*"))
    shown = subprocess.run(
        ["sh", "-c", f"printf '%s\\n' {line}"], check=True, capture_output=True, text=True,
        cwd=tmp_path,
    )  # fmt: skip
    assert sorted(shown.stdout.splitlines()) == sorted(
        f"{odd}/{name}" for name in ("one", ".hidden", "..two")
    )
    assert not (tmp_path / "pwned").exists()


def test_steps_come_in_their_order():
    recipe = Recipe(
        prerecipe="x", installer="apt", repositories=("http://a/",), packages=("nginx", "curl"),
        recipe="y", scripts=(Script(name="b", text="z"), Script(name="a", text="z")),
    )  # fmt: skip
    assert [step.name for step in building.steps(recipe)] == [
        "Prerecipe", "Repositories", "Package index", "Packages", "Recipe", "Script b",
        "Script a", "Clean up",
    ]  # fmt: skip
    assert [step.name for step in building.steps(Recipe())] == ["Clean up"]


SHELLS = [shell for shell in (["dash"], ["bash", "--posix"], ["busybox", "sh"])
          if shutil.which(shell[0])]  # fmt: skip
EVERYTHING = Recipe(
    prerecipe="echo it's 'quoted'\n",
    installer="dnf",
    repositories=("https://a/x.repo", "https://b/"),
    packages=("@core", "a=1"),
    recipe="#!/usr/bin/python3\nprint('x')",
    scripts=(
        Script(name="é $(x)/..", text="END-0123456789abcdef\n$x `y`", arguments=("a'b", "$c")),
    ),
)


@pytest.mark.parametrize("shell", SHELLS, ids=lambda words: words[0])
def test_every_shell_can_read_the_agent(shell):
    program = building.user_data(building.steps(EVERYTHING), nonce=NONCE, limit_s=60)
    assert program.startswith("#!/bin/sh\n")
    subprocess.run([*shell, "-n"], input=program, text=True, check=True)


@pytest.mark.parametrize("installer", ["apt", "dnf", "yum", "apk"])
def test_every_step_is_shell(installer):
    recipe = Recipe(installer=installer, repositories=("https://a/'x'",), packages=("a",))
    for step in building.steps(recipe):
        subprocess.run(["sh", "-n"], input=step.text, text=True, check=True)


# What a guest says ----------------------------------------------------------------------

MARK = f"portal-build: {NONCE} "


def read(new, *, end=b"", has_begun=False, before=b""):
    return building.read(
        new, end=end, nonce=NONCE, has_begun=has_begun, before=lambda: before or end
    )


def test_marks_are_found_wherever_they_stand_on_their_line():
    log = f"debian login: {MARK}step 1 begin\r\n{MARK}step 1 end 3\r\r\nx\n{MARK}done\n".encode()
    assert read(log).marks == (Said(1), Said(1, 3), Said(0))


def test_a_mark_in_two_pieces_is_read_when_it_is_whole():
    first, second = f"x\n{MARK}step 2 en".encode(), b"d 0\r\n"
    assert read(first).marks == ()
    assert Said(2, 0) in read(second, end=first, has_begun=True).marks


def test_marks_of_another_build_say_nothing():
    assert read(b"portal-build: ffffffffffffffff step 1 begin\n").marks == ()


@pytest.mark.parametrize(
    "line",
    [b"portal-context: started\r\n",
     b"[    5.123456] cloud-init[301]: Cloud-init v. 22.4.2 running 'init-local' at Sat, 21 Nov "
     b"2026 23:00:00 +0000. Up 5.21 seconds.\r\n"],
    ids=["demo", "cloud-init"],
)  # fmt: skip
def test_a_start_in_the_middle_is_told_and_the_first_is_not(line):
    begin = f"{MARK}step 1 begin\n".encode()
    assert read(line + begin).restarted_after is None
    assert read(begin + b"x\n" + line).restarted_after == 1
    assert read(b"x\n" + line, end=begin, has_begun=True).restarted_after is not None
    assert read(b"more\n", end=begin + line, has_begun=True).restarted_after is None


def test_a_log_that_is_printed_again_is_no_new_start():
    line = b"Cloud-init v. 22.4.2 running 'init' at Sat, 21 Nov 2026 23:00:00 +0000. Up 9 s.\r\n"
    begin = f"{MARK}step 1 begin\n".encode()
    seen = line + begin
    assert read(b"cat:\n" + line, end=begin, has_begun=True, before=seen).restarted_after is None
    other = line.replace(b"23:00", b"23:05")
    assert read(other, end=begin, has_begun=True, before=seen).restarted_after is not None


def test_what_a_guest_prints_is_harmless():
    hostile = (
        b"\x1b[2J\x1b]0;title\x07\x1b[31mred\x1b[0m\r\n10%\r100%\r\nnul\x00bell\x07\n"
        b"\xe2\x80\xaeevil\n\x1bPq#\x1b\\end\xff\n\x9b31mc1"
    )
    text = building.clean(hostile)
    assert text.splitlines() == ["red", "100%", "nulbell", "evil", "end�", "�31mc1"]


def test_the_last_lines_are_few_and_not_blank():
    log = b"".join(b"line %d\r\n\r\n" % number for number in range(100))
    lines = building.last_lines(log).splitlines()
    assert (len(lines), lines[-1]) == (20, "line 99")
    assert len(building.last_lines(b"x" * 100_000)) == 4000


@pytest.mark.parametrize("shell", SHELLS, ids=lambda words: words[0])
def test_what_is_removed_is_written_over_first(tmp_path, shell):
    """A second name keeps the bytes of a file that has two: they are somebody's still."""
    (tmp_path / "out").mkdir()
    work, twin, kept = tmp_path / "work", tmp_path / "twin", tmp_path / "out" / "kept"
    work.mkdir()
    (tmp_path / "in").mkdir()
    secret = tmp_path / "in" / "a secret"
    secret.write_bytes(b"x" * 5000)
    (tmp_path / "in" / ".hidden").write_text("y")
    twin.write_text("shared")
    kept.write_text("kept")
    (tmp_path / "in" / "twin").hardlink_to(twin)
    (tmp_path / "in" / "link").symlink_to(kept)
    recipe = Recipe(excludes=(f"{tmp_path}/in/*", f"{tmp_path}/missing"))
    step = building.steps(recipe)[-1]
    text = re.sub(r"(?m)^\t(wipe|drop) /var/lib/cloud.*\n", "", step.text)
    with secret.open("rb") as held:
        done = subprocess.run(
            [*shell, "-e", "-c", text.replace("fstrim /", "true"), "sh", str(work)],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        assert not held.read().strip(b"\0")
    assert list((tmp_path / "in").iterdir()) == []
    assert not work.exists()
    assert (twin.read_text(), kept.read_text()) == ("shared", "kept")
    assert done.stdout.count("removed ") == 4


@pytest.mark.parametrize("shell", SHELLS, ids=lambda words: words[0])
def test_the_recipe_itself_is_removed_whatever_is_asked(shell):
    step = building.steps(Recipe(excludes=()))[-1]
    for path in ("/var/lib/cloud/parts/*", "/var/lib/cloud/instances/*/obj.pkl"):
        assert f"\tdrop {path}" in step.text
        assert f"\twipe {path}" in step.text
    subprocess.run([*shell, "-n"], input=step.text, text=True, check=True)


START = b"Cloud-init v. 22.4 running 'init' at Mon"


@pytest.mark.parametrize(
    "flood", [b"a" * (1 << 20), b"\r" * (1 << 20), b"\x1b[" * (1 << 19), b"a\r" * (1 << 19)]
)
def test_a_flood_without_an_end_of_line_is_made_harmless_at_once(flood):
    began = time.monotonic()
    assert "\x1b" not in logs.clean(flood)
    assert time.monotonic() - began < 5  # by the square of its length, it was half an hour


@pytest.mark.parametrize(
    "flood", [(START + b"\n") * 50_000, START * 50_000, START + b" " * (1 << 20)]
)
def test_a_flood_of_starts_is_read_at_once(flood):
    began = time.monotonic()
    shown = markers.read(
        b"portal-build: aa step 1 begin\n" + flood, end=b"", nonce="aa", has_begun=True,
        before=lambda: b"y" * (1 << 20) + START + b"\n",
    )  # fmt: skip
    assert shown == markers.Shown((markers.Said(1),))
    assert time.monotonic() - began < 5


def test_a_line_that_was_written_over_is_shown_as_it_was_left():
    assert logs.clean(b"10%\r50%\r100%\r\r\nnext\ra\n") == "100%\na\n"
