"""The pieces of a build that need neither packages nor a machine."""

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from cloud.images import ImageBuildError, cpio, disk, mini, modules, packages, tools
from cloud.images.built import digests
from cloud.images.tree import Tree

GUEST = Path(mini.__file__).parent / "guest"
CONTEXT = mini.GUEST / "root" / "usr" / "lib" / "portal-context"


def module(name: str, *, depends: str = "", alias: str = "") -> bytes:
    fields = f"license=GPL\0depends={depends}\0name={name}\0"
    return b"\x7fELF\0" + (fields + (f"alias={alias}\0" if alias else "")).encode()


def awk(script: str, text: str, *variables: str) -> str:
    assigned = [word for variable in variables for word in ("-v", variable)]
    done = subprocess.run(
        ["awk", *assigned, "-f", CONTEXT / script],
        input=text, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


# Trees and archives ---------------------------------------------------------------


def test_a_tree_has_parents_before_children_in_an_order_of_its_own() -> None:
    tree = Tree()
    tree.file("usr/bin/z", b"")
    tree.file("usr/bin-more/a", b"")
    tree.file("etc/motd", b"hello")
    paths = [path for path, _node in tree.items()]
    assert paths == [
        "etc", "etc/motd", "usr", "usr/bin", "usr/bin/z", "usr/bin-more", "usr/bin-more/a",
    ]  # fmt: skip


def test_an_archive_is_aligned_and_belongs_to_root() -> None:
    tree = Tree()
    tree.file("init", b"#!/bin/sh\n", mode=0o755)
    tree.character_device("dev/console", (5, 1))
    archive = cpio.archive(tree)
    assert len(archive) % 4 == 0
    first = archive[:110].decode()
    assert first[:6] == "070701"
    mode, uid, gid = (int(first[6 + 8 * n : 14 + 8 * n], 16) for n in (1, 2, 3))
    assert (mode, uid, gid) == (0o040755, 0, 0)
    assert archive.index(b"dev/console\0") < archive.index(b"init\0") < archive.index(b"TRAILER!!!")


def test_two_archives_of_a_tree_are_equal() -> None:
    def made(names: list[str]) -> bytes:
        tree = Tree()
        for name in names:
            tree.file(name, name.encode())
        return cpio.archive(tree)

    assert made(["b", "a/c", "a/b"]) == made(["a/b", "a/c", "b"])


def test_checksums_are_those_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "image"
    file.write_bytes(b"stratus" * 300_000)
    measured = digests(file)
    assert measured.size_bytes == 2_100_000
    for name in ("sha1", "sha256", "sha512"):
        assert getattr(measured, name) == hashlib.new(name, file.read_bytes()).hexdigest()


def test_only_data_is_copied_from_a_sparse_file(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    with source.open("wb") as file:
        file.truncate(64 * disk.MIB)
        file.seek(32 * disk.MIB)
        file.write(b"in the middle")
    with target.open("wb") as file:
        file.truncate(128 * disk.MIB)
    disk.copy_sparse(source, target, offset=disk.MIB)
    with target.open("rb") as file:
        file.seek(33 * disk.MIB)
        assert file.read(13) == b"in the middle"
    assert target.stat().st_blocks * 512 < disk.MIB


def test_the_boot_loader_asks_nothing() -> None:
    boot = disk.BootFiles(kernel=b"", initrd=b"", command_line="root=LABEL=x quiet")
    assert boot.syslinux_config().splitlines() == [
        "DEFAULT linux", "PROMPT 0", "LABEL linux", " LINUX vmlinuz", " INITRD initrd",
        " APPEND root=LABEL=x quiet",
    ]  # fmt: skip


# Kernel modules -------------------------------------------------------------------


def test_modules_load_after_what_they_need() -> None:
    kernel = {
        "virtio_blk": module("virtio_blk", depends="virtio,virtio_ring"),
        "virtio_ring": module("virtio_ring"),
        "virtio": module("virtio", depends="virtio_ring"),
    }
    order = modules.load_order(["virtio_blk", "builtin_one"], kernel)
    assert order == ["virtio_ring", "virtio", "virtio_blk"]


def test_a_dash_in_a_file_name_is_an_underscore_in_the_kernel() -> None:
    assert modules.module_name("kernel/drivers/char/hw_random/virtio-rng.ko") == "virtio_rng"
    assert modules.dependencies(module("x", depends="nls-base,fat")) == ["nls_base", "fat"]


def test_modprobe_learns_dependencies_and_aliases() -> None:
    kept = {
        "fat": ("kernel/fs/fat/fat.ko", module("fat")),
        "vfat": ("kernel/fs/fat/vfat.ko", module("vfat", depends="fat", alias="fs-vfat")),
    }
    assert modules.dependency_file(kept) == (
        "kernel/fs/fat/fat.ko:\nkernel/fs/fat/vfat.ko: kernel/fs/fat/fat.ko\n"
    )
    assert modules.alias_file(kept) == "alias fs-vfat vfat\n"


def test_commands_are_read_from_busybox_itself() -> None:
    assert mini.applets(b"\x00usage\0[\0[[\0ash\0mke2fs\0\0more") == ["[", "[[", "ash", "mke2fs"]
    with pytest.raises(ImageBuildError, match="list of commands"):
        mini.applets(b"another program")


# Packages -------------------------------------------------------------------------


def make_deb(directory: Path, name: str, version: str, files: dict[str, str]) -> Path:
    root = directory / f"{name}-{version}"
    control = root / "DEBIAN" / "control"
    control.parent.mkdir(parents=True)
    control.write_text(
        f"Package: {name}\nVersion: {version}\nArchitecture: amd64\n"
        "Maintainer: Nobody <nobody@example.org>\nDescription: for a test\n"
    )
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    deb = directory / f"{name}_{version}_amd64.deb"
    subprocess.run(["dpkg-deb", "--build", "-Znone", root, deb], check=True, capture_output=True)
    return deb


def test_apts_answer_is_understood() -> None:
    sha256 = "a" * 64
    listed = f"'http://mirror/pool/b_1%253a1_amd64.deb' b_1%3a1_amd64.deb 12 SHA256:{sha256}\n"
    (offer,) = packages.parse_offers(listed)
    assert (offer.file_name, offer.size_bytes, offer.sha256) == ("b_1%3a1_amd64.deb", 12, sha256)
    assert packages.exact("b_1%3a1_amd64.deb") == "b=1:1"


def test_old_and_new_places_of_a_file_are_one() -> None:
    assert packages.merged_usr("./bin/lsblk") == "usr/bin/lsblk"
    assert packages.merged_usr("./lib64/ld-linux-x86-64.so.2") == "usr/lib64/ld-linux-x86-64.so.2"
    assert packages.merged_usr("./usr/bin/lsblk") == "usr/bin/lsblk"
    assert packages.merged_usr("./etc/") == "etc"


def test_a_package_gives_the_files_that_are_asked_for(tmp_path: Path) -> None:
    path = make_deb(tmp_path, "tool", "1.0", {"bin/tool": "#!", "usr/share/doc/tool/README": "-"})
    tree = Tree()
    packages.unpack(packages.Deb(name="tool", version="1.0", path=path), ["usr/bin/*"], tree)
    assert [name for name, _node in tree.items()] == ["usr", "usr/bin", "usr/bin/tool"]


def test_a_file_that_debian_moved_is_named(tmp_path: Path) -> None:
    path = make_deb(tmp_path, "tool", "1.0", {"bin/tool": "#!"})
    with pytest.raises(ImageBuildError, match=r"tool_1\.0_amd64\.deb failed: it has no usr/sbin/x"):
        packages.unpack(packages.Deb(name="tool", version="1.0", path=path), ["usr/sbin/x"], Tree())


def test_a_directory_of_packages_stands_in_for_a_mirror(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_deb(tmp_path, "linux-image-6.1.0-9-cloud-amd64", "6.1.9", {})
    make_deb(tmp_path, "linux-image-6.1.0-10-cloud-amd64", "6.1.10", {})
    make_deb(tmp_path, "tool", "1.0~rc1", {})
    make_deb(tmp_path, "tool", "1.0", {})
    monkeypatch.setenv(packages.OFFLINE_VARIABLE, str(tmp_path))
    debs = packages.collect(["tool"], cache_dir=tmp_path / "unused", report=tools.silent)
    assert [(deb.name, deb.version) for deb in debs] == [
        ("linux-image-6.1.0-10-cloud-amd64", "6.1.10"),
        ("tool", "1.0"),
    ]
    with pytest.raises(ImageBuildError, match=r"no package other.*unset PORTAL_DEMO_DEBS"):
        packages.collect(["other"], cache_dir=tmp_path / "unused", report=tools.silent)


def test_a_missing_package_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(packages.OFFLINE_VARIABLE, raising=False)
    empty = tmp_path / "apt.conf"
    empty.write_text(f'Dir::State "{tmp_path}/state";\nDir::Cache "{tmp_path}/cache";\n')
    monkeypatch.setenv("APT_CONFIG", str(empty))
    with pytest.raises(ImageBuildError, match="apt-get update"):
        packages.collect(["tool"], cache_dir=tmp_path / "debs", report=tools.silent)


# Programs -------------------------------------------------------------------------


def test_a_failed_program_is_reported_with_its_step_and_the_way_out() -> None:
    with pytest.raises(ImageBuildError) as caught:
        tools.run(
            ["sh", "-c", "echo first >&2; echo no room >&2; exit 3"],
            step="Making it", fix="Make room.",
        )  # fmt: skip
    assert str(caught.value) == "Making it failed: no room. Make room."
    assert caught.value.detail == "sh: first\nno room"


def test_missing_programs_are_named_with_their_packages() -> None:
    with pytest.raises(ImageBuildError, match=r"no-such-a, no-such-b\..*apt-get install pa pb"):
        tools.require({"no-such-b": "pb", "no-such-a": "pa", "sh": "dash"})


def test_programs_see_nothing_of_the_builders_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "fr_FR.UTF-8")
    monkeypatch.setenv("SECRET", "x")
    monkeypatch.setenv("http_proxy", "http://proxy:3128")
    seen = tools.run(["env"], step="Looking", fix="").splitlines()
    assert "LC_ALL=C" in seen
    assert "http_proxy=http://proxy:3128" in seen
    assert not [line for line in seen if line.startswith("SECRET")]


# What the guest runs --------------------------------------------------------------


@pytest.mark.parametrize(
    "script", [path for path in GUEST.rglob("*") if path.is_file()], ids=lambda path: path.name
)
def test_guest_scripts_are_sound(script: Path) -> None:
    text = script.read_text()
    if text.startswith("#!/bin/sh"):
        subprocess.run(["sh", "-n", script], check=True)


KEYS = ["ssh-ed25519 AAAAC3Nz/a+= me@home", "ssh-rsa AAAAB3Nz= two words"]


@pytest.mark.parametrize(
    "text",
    [
        "ssh_authorized_keys:\n- {0}\n- {1}\n",
        "ssh_authorized_keys:\n  - {0}\n\n  # mine too\n  - {1}\n",
        "ssh-authorized-keys:\n    - '{0}'\n    - \"{1}\"\nhostname: x\n",
        'ssh_authorized_keys: ["{0}", "{1}"]\n',
        "ssh_authorized_keys: [\n  {0},\n  {1}\n]\n",
        "runcmd:\n  - echo ssh-rsa AAAAother\nssh_authorized_keys:\n  - {0}\n  - {1}\n"
        "write_files:\n  - content: ssh-rsa AAAAthird\n",
    ],
)
def test_ssh_keys_are_found_in_every_layout_of_a_list(text: str) -> None:
    assert awk("keys.awk", "#cloud-config\n" + text.format(*KEYS)).splitlines() == KEYS


def test_options_of_an_ssh_key_are_not_lost() -> None:
    key = 'command="/bin/date",no-pty ssh-ed25519 AAAAC3 clock'
    assert awk("keys.awk", f"ssh_authorized_keys:\n  - {key}\n") == key + "\n"


@pytest.mark.parametrize(
    "text",
    [
        "public-keys:\n  - {0}\n  - {1}\n",
        'public-keys:\n  "0":\n    openssh-key: {0}\n  "1":\n    openssh-key: "{1}"\n',
        '{{"instance-id": "i", "public-keys": ["{0}", "{1}"]}}',
    ],
)
def test_meta_data_keys_are_found_in_yaml_and_in_json(text: str) -> None:
    assert awk("keys.awk", text.format(*KEYS), "everywhere=1").splitlines() == KEYS


def test_what_is_not_understood_is_named() -> None:
    text = "#cloud-config\nhostname: x\nruncmd:\n  - a: b\npackages: [vim]\nssh_authorized_keys: []"
    assert awk("others.awk", text) == "runcmd, packages"


def test_a_message_is_taken_apart_even_when_nested(tmp_path: Path) -> None:
    message = """MIME-Version: 1.0
Content-Type: multipart/mixed;
 boundary="outer"

preamble
--outer
Content-Type: text/x-shellscript
Content-Disposition: attachment; filename="../set up.sh"

#!/bin/sh
echo "--not a boundary"
--outer
Content-Type: multipart/mixed; boundary=inner

--inner
Content-Transfer-Encoding: BASE64

IyEvYmluL3NoCg==
--inner--
--outer--
epilogue
"""
    awk("split.awk", message, f"directory={tmp_path}")
    parts = {path.name: path.read_text() for path in sorted(tmp_path.iterdir())}
    assert parts.pop("002.-.part-002") == ""
    assert parts == {
        "001.script..._set_up.sh": '#!/bin/sh\necho "--not a boundary"\n',
        "003.-.part-003.base64": "IyEvYmluL3NoCg==\n",
    }
    assert not os.path.lexists(tmp_path.parent / "set up.sh")
