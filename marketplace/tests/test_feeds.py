"""Indexes of others, as they are and as somebody hostile would write them."""

import base64
import io
import json
import tracemalloc
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.fetch import Unfetchable
from marketplace.feeds import READERS, Item, Problem, Unreadable, limits
from marketplace.feeds.naming import below, order_of

UBUNTU = "https://cloud-images.example.org/releases/"
LXC = "https://images.example.org"
DEBIAN = "https://cloud.example.org/images/cloud/"
SHA = "983b7be9dd1ed8c0b3118e309cdd2b2869b74ddcbb3e4c6c4c77e28e0a7b5e59"
SHA512 = "da84d609d7ec5645" * 8


class Web:
    """Files by address; everything else is a 404."""

    def __init__(self, **files):
        self.files = {}
        self.asked = []

    def put(self, url, content):
        if not isinstance(content, bytes):
            content = json.dumps(content).encode()
        self.files[url] = content
        return self

    def __call__(self, url, *, most_bytes):
        self.asked.append(url)
        if url not in self.files:
            raise Unfetchable("The server answers 404 (there is no such file) instead of a file.")
        assert len(self.files[url]) <= most_bytes
        return io.BytesIO(self.files[url])


def index_of(path="streams/v1/com.example:released:download.json", **more):
    listed = {"datatype": "image-downloads", "format": "products:1.0", "path": path, **more}
    others = {"datatype": "image-ids", "format": "products:1.0", "path": "streams/v1/aws.json"}
    return {"format": "index:1.0", "index": {"com.example:aws": others, "com.example": listed}}


def disk(folder, sha=SHA, **more):
    path = f"server/releases/noble/{folder}/ubuntu-24.04-server-cloudimg-amd64.img"
    return {"ftype": "disk1.img", "path": path, "sha256": sha, "size": 594_000_000, **more}


def noble(**more):
    versions = {
        "20240423": {"items": {"disk1.img": disk("release-20240423", "0" * 64)}},
        "20260321.1": {
            "items": {
                "manifest": {"ftype": "manifest", "path": "x", "sha256": SHA, "size": 3},
                "disk-kvm.img": disk("release-20260321.1", "1" * 64, ftype="disk-kvm.img"),
                "disk1.img": disk("release-20260321.1"),
            },
            "label": "release",
        },
        "20260321": {"items": {"disk1.img": disk("release-20260321", "2" * 64)}},
    }
    return {
        "aliases": "24.04,n,noble,lts", "arch": "amd64", "os": "ubuntu", "release": "noble",
        "release_codename": "Noble Numbat", "release_title": "24.04 LTS",
        "support_eol": "2029-05-31", "supported": True, "version": "24.04", "versions": versions,
        **more,
    }  # fmt: skip


def ubuntu(products, path="streams/v1/com.example:released:download.json"):
    web = Web().put(f"{UBUNTU}streams/v1/index.json", index_of(path))
    listed = {"format": "products:1.0", "datatype": "image-downloads", "products": products}
    return web.put(UBUNTU + path, listed)


def found_in(kind, url, web):
    return list(READERS[kind](url, web))


def test_of_a_product_the_newest_version_is_taken_as_the_index_states_it():
    (item,) = found_in("simplestreams", UBUNTU, ubuntu({"com.ubuntu:24.04:amd64": noble()}))
    assert item == Item(
        location=f"{UBUNTU}server/releases/noble/release-20260321.1/"
        "ubuntu-24.04-server-cloudimg-amd64.img",
        sha256=SHA,
        size_bytes=594_000_000,
        format="qcow2",
        title="Ubuntu 24.04 LTS (Noble Numbat)",
        description="Ubuntu 24.04 LTS (Noble Numbat) for x86_64, built on 2026-03-21.",
        os="Ubuntu",
        os_version="24.04",
        os_arch="x86_64",
        version="20260321.1",
        tag="ubuntu-24.04-x86-64",
        created=datetime(2026, 3, 21, tzinfo=UTC),
        is_supported=True,
        supported_until=datetime(2029, 5, 31, 23, 59, 59, tzinfo=UTC),
        default_user="ubuntu",
    )


@pytest.mark.parametrize(
    "url", [UBUNTU, UBUNTU.rstrip("/"), f"{UBUNTU}streams/v1/index.json", f"{UBUNTU}streams/v1/"]
)
def test_the_address_of_an_index_may_be_its_folder_or_itself(url):
    assert len(found_in("simplestreams", url, ubuntu({"a": noble()}))) == 1


def test_linux_containers_call_their_disks_otherwise():
    items = {
        "disk.qcow2": {
            "ftype": "disk-kvm.img", "sha256": SHA, "size": 300_000_000,
            "path": "images/debian/trixie/amd64/cloud/20261120_05:24/disk.qcow2",
        },
        "incus.tar.xz": {
            "ftype": "incus.tar.xz", "sha256": "1" * 64, "size": 900, "path": "x",
            "combined_disk-kvm-img_sha256": "2" * 64,
        },
        "root.squashfs": {"ftype": "squashfs", "sha256": "3" * 64, "size": 9, "path": "y"},
    }  # fmt: skip
    product = {
        "aliases": "debian/13/cloud,debian/trixie/cloud", "arch": "amd64", "os": "Debian",
        "release": "trixie", "release_title": "trixie", "variant": "cloud",
        "versions": {"20261120_05:24": {"items": items}},
    }  # fmt: skip
    only_containers = {**product, "versions": {"20261120_05:24": {"items": {
        "root.squashfs": items["root.squashfs"]}}}}  # fmt: skip
    path = "streams/v1/images.json"
    web = Web().put(f"{LXC}/streams/v1/index.json", index_of(path))
    products = {"debian:trixie:amd64:cloud": product, "alpine:3.22:amd64:default": only_containers}
    web.put(f"{LXC}/{path}", {"products": products, "content_id": "images"})
    (item,) = found_in("simplestreams", LXC, web)
    assert item.title == "Debian trixie cloud"
    assert (item.os, item.default_user, item.sha256) == ("Debian", "debian", SHA)
    assert item.tag == "debian-trixie-cloud-x86-64"
    assert item.supported_until is None


def test_versions_are_compared_as_numbers():
    assert order_of("20240423.10") > order_of("20240423.9") > order_of("20240423")


def test_a_product_that_is_supported_no_more_says_so():
    web = ubuntu({"old": noble(supported=False, support_eol="2013-05-09")})
    (item,) = found_in("simplestreams", UBUNTU, web)
    assert not item.is_supported
    assert item.supported_until.year == 2013


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"path": "../../../etc/passwd"}, "out of the folder"),
        ({"path": "http://169.254.169.254/latest"}, "out of the folder"),
        ({"path": "//evil.example.org/x.img"}, "out of the folder"),
        ({"path": "a/%2e%2e%2fb.img"}, "out of the folder"),
        ({"path": "x.img?y=z"}, "out of the folder"),
        ({"path": ["x"]}, "out of the folder"),
        ({"sha256": "beef"}, "no SHA-256"),
        ({"sha256": 7}, "no SHA-256"),
    ],
)
def test_a_broken_item_is_left_out_with_a_sentence(change, said):
    broken = noble(versions={"20260321": {"items": {"d": {**disk("release"), **change}}}})
    web = ubuntu({"com.ubuntu:24.04:amd64": broken, "good": noble()})
    problem, item = found_in("simplestreams", UBUNTU, web)
    assert isinstance(problem, Problem)
    assert said in problem.sentence
    assert isinstance(item, Item)


@pytest.mark.parametrize(
    "hostile",
    [None, 7, "x", [], [[]], {"versions": 3}, {"versions": {"20260101": []}},
     {"versions": {"20260101": {"items": {"disk1.img": 7}}}}, {"versions": {"": {"items": {}}}},
     {"os": 3, "arch": {}, "versions": {"x": {"items": {"a": {"ftype": "disk1.img"}}}}}],
)  # fmt: skip
def test_a_product_of_any_shape_harms_nothing(hostile):
    found = found_in("simplestreams", UBUNTU, ubuntu({"bad": hostile, "good": noble()}))
    assert [one for one in found if isinstance(one, Item)]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no JSON"),
        (b"<html>", "no JSON"),
        (b'{"index": {', "no JSON"),
        (b"[" * 100_000, "deeper"),
        (b'{"a":' * 100_000, "deeper"),
        (b"[" + b"[]," * 250_000 + b"[]]", "more than 200,000 values"),
        (b'"' + b"x" * 10_000 + b'"', "more than 4,000 letters"),
        (b'{"index": {}}', "names no list"),
        (b'{"index": [1]}', "names no list"),
        (b"7", "names no list"),
        (b"9" * 10_000, "no JSON"),
        (b"1e999999999999999999999", "no JSON"),
    ],
)
def test_what_is_no_index_is_refused_in_words(content, said):
    web = Web().put(f"{UBUNTU}streams/v1/index.json", content)
    with pytest.raises(Unreadable, match=said):
        found_in("simplestreams", UBUNTU, web)


def test_an_index_with_too_many_products_is_refused():
    with pytest.raises(Unreadable, match="more than 20,000 products"):
        found_in("simplestreams", UBUNTU, ubuntu({str(n): 0 for n in range(20_001)}))


def test_nothing_that_nobody_sees_comes_through():
    items = {"disk1.img": disk("release")}
    versions = {"20260321\x00\u202e": {"items": items}}
    web = ubuntu({"a\x00b": noble(versions=versions, release_title="24.04\u202e \x00LTS\ufeff")})
    (item,) = found_in("simplestreams", UBUNTU, web)
    assert (item.version, item.title) == ("20260321", "Ubuntu 24.04   LTS (Noble Numbat)")
    broken = noble(versions={"2026\x00": {"items": items}})
    (problem,) = found_in("simplestreams", UBUNTU, ubuntu({"a\x00b": broken}))
    assert (problem.what, "\x00" in problem.sentence) == ("a b 2026", False)


@pytest.mark.slow
def test_a_hostile_index_of_megabytes_takes_little_memory():
    bomb = b'{"x": ' + b"[" * 1_000 + b"]" * 1_000 + b', "y": [' + b"[]," * 2_000_000 + b"[]]}"
    file = io.BytesIO(bomb)
    tracemalloc.start()
    try:
        assert list(limits.members(file, "products")) == []
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()


FLOATS = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | FLOATS | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(["index", "products", "versions", "items", "20260101", "disk1.img", "path",
                         "sha256", "size", "ftype", "supported", "support_eol", "kind", "data",
                         "ref", "metadata", "labels", "annotations", "cloud.debian.org/digest"])
        | st.text(max_size=5), inner, max_size=5),
    max_leaves=30,
)  # fmt: skip


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(JSON, st.sampled_from(["simplestreams", "debian"]))
def test_no_json_whatsoever_breaks_a_reader(value, kind):
    url = f"{UBUNTU}debian-12.json" if kind == "debian" else UBUNTU
    web = ubuntu({"a": value, "b": {"versions": {"20260101": {"items": {"x": value}}}}})
    web.put(url, {"items": [value, {"kind": "Upload", "data": value, "metadata": value}]})
    for one in READERS[kind](url, web):
        assert isinstance(one, Item | Problem)


@given(st.binary(max_size=200))
def test_no_bytes_whatsoever_break_the_reading_of_json(content):
    with suppress(Unreadable):
        limits.whole(io.BytesIO(content))
    with suppress(Unreadable):
        list(limits.members(io.BytesIO(content), "products"))


def manifest(ref, digest=None, kind="Upload", form="qcow2"):
    digest = digest or "sha512:" + base64.b64encode(bytes.fromhex(SHA512)).decode().rstrip("=")
    labels = {
        "cloud.debian.org/vendor": "genericcloud",
        "cloud.debian.org/version": "20241004-1890",
        "upload.cloud.debian.org/image-format": form,
    }
    upload = {
        "apiVersion": "cloud.debian.org/v1alpha1", "kind": kind,
        "data": {"provider": "cloud.debian.org", "ref": ref},
        "metadata": {"annotations": {"cloud.debian.org/digest": digest}, "labels": labels},
    }  # fmt: skip
    raw = json.loads(json.dumps(upload).replace('"qcow2"', '"raw"'))
    packages = [{"name": "base-files", "version": "12.4"}]
    about = {"arch": "amd64", "release": "bookworm"}
    build = {"kind": "Build", "data": {"info": about, "packages": packages}}
    return {"apiVersion": "v1", "kind": "List", "items": [build, raw, upload]}


REF = "bookworm/20241004-1890/debian-12-genericcloud-amd64-20241004-1890.qcow2"


def debian(**files):
    listing = b"""<a href="?C=N;O=D">Name</a> <a href="/images/">Parent Directory</a>
      <a href="OpenStack/">O</a> <a href="bookworm/">bookworm/</a>
      <a href="bookworm-backports/">b</a> <a href="sid/">sid/</a>"""
    folder = b"""<a href="SHA512SUMS">S</a> <a href="debian-12-generic-amd64.json">g</a>
      <a href="debian-12-genericcloud-amd64.json">j</a>
      <a href="debian-12-genericcloud-amd64.qcow2">q</a>"""
    web = Web().put(DEBIAN, listing).put(f"{DEBIAN}bookworm/latest/", folder)
    return web.put(
        f"{DEBIAN}bookworm/latest/debian-12-genericcloud-amd64.json", manifest(REF, **files)
    )


def test_debians_images_are_found_by_the_listing_of_its_server():
    web = debian()
    (item,) = found_in("debian", DEBIAN.rstrip("/"), web)
    assert item.location == DEBIAN + REF
    assert (item.sha512, item.sha256, item.size_bytes) == (SHA512, "", None)
    assert (item.title, item.os_version, item.os_arch) == ("Debian 12 (Bookworm)", "12", "x86_64")
    assert (item.version, item.tag) == ("20241004-1890", "debian-12-x86-64")
    assert (item.created.date().isoformat(), item.default_user) == ("2024-10-04", "debian")
    assert item.supported_until.date().isoformat() == "2028-06-30"
    assert f"{DEBIAN}sid/latest/" in web.asked  # has only daily builds: not there, no error


def test_one_manifest_alone_is_an_address_too():
    web = debian()
    (item,) = found_in("debian", f"{DEBIAN}bookworm/latest/debian-12-genericcloud-amd64.json", web)
    assert item.location == DEBIAN + REF
    assert len(web.asked) == 1


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"digest": "sha512:AAAA"}, "no SHA-512"),
        ({"digest": "sha256:" + "A" * 43}, "no SHA-512"),
        ({"digest": "sha512:!!!"}, "no SHA-512"),
        ({"kind": "Build"}, "no file in the format qcow2"),
        ({"form": "vhd"}, "no file in the format qcow2"),
    ],
)
def test_a_manifest_that_says_too_little_is_left_out(files, said):
    (problem,) = found_in("debian", DEBIAN, debian(**files))
    assert said in problem.sentence


@pytest.mark.parametrize("ref", ["../../x.qcow2", "http://evil.example.org/x.qcow2", "/x", ""])
def test_a_manifest_cannot_name_a_file_elsewhere(ref):
    web = Web().put(f"{DEBIAN}bookworm/latest/x.json", manifest(ref))
    (problem,) = found_in("debian", f"{DEBIAN}bookworm/latest/x.json", web)
    assert "unknown way" in problem.sentence


def test_a_folder_without_manifests_is_said_to_have_none():
    with pytest.raises(Unreadable, match="No manifest was found"):
        found_in("debian", DEBIAN, Web().put(DEBIAN, b"<html>hello</html>"))


def test_a_release_older_than_every_supported_one_is_not():
    ref = "buster/20241004-1890/debian-10-genericcloud-amd64-20241004-1890.qcow2"
    web = Web().put(f"{DEBIAN}buster/latest/x.json", manifest(ref))
    (item,) = found_in("debian", f"{DEBIAN}buster/latest/x.json", web)
    assert not item.is_supported
    newer = ref.replace("buster", "duke").replace("-10-", "-15-")
    web.put(f"{DEBIAN}duke/latest/x.json", manifest(newer))
    (item,) = found_in("debian", f"{DEBIAN}duke/latest/x.json", web)
    assert item.is_supported


def test_nothing_leads_out_of_the_folder():
    base = "https://example.org/a/"
    assert below(base, "b/c.img") == "https://example.org/a/b/c.img"
    for path in ("", "/b", "b//c", "b/../c", "./b", "..", "b/..", "file:b", "b c", "b\\c", "é"):
        assert below(base, path) == ""
