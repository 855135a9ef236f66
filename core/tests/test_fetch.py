"""The one way to an address that a person typed."""

import ipaddress
import select
import ssl
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from core import fetch
from core.fetch import Head, Unfetchable
from core.tests.webserver import CONTENT, Server, ranged, says

LOOPBACK = fetch.networks(["127.0.0.0/8", "::1/128"])


@pytest.fixture
def server():
    one = Server()
    yield one
    one.close()


class File:
    def __init__(self, have: bytes = b"") -> None:
        self.bytes = bytearray(have)

    def __call__(self, offset: int, piece: bytes) -> None:
        self.bytes[offset:] = piece


def get(url: str, have: bytes = b"", **more) -> tuple[bytes, Head]:
    file = File(have)
    limits = {"most_bytes": 1 << 30, "allowed": LOOPBACK, "ports": range(1024, 65536)}
    head = fetch.fetch(url, file, **limits | more)
    return bytes(file.bytes), head


def refusal(url: str, **more) -> Unfetchable:
    with pytest.raises(Unfetchable) as refused:
        get(url, **more)
    return refused.value


class TestBytes:
    def test_a_file_arrives_whole_with_its_length_and_version(self, server):
        server.answers["/disk"] = ranged
        content, head = get(server.url("/disk"))
        assert content == CONTENT
        assert head == Head(offset=0, length=len(CONTENT), validator='"v1"')

    def test_it_goes_on_where_it_ended(self, server):
        server.answers["/disk"] = ranged
        content, head = get(server.url("/disk"), CONTENT[:1000], offset=1000, validator='"v1"')
        assert content == CONTENT
        assert head.offset == 1000
        assert server.asked[0]["range"] == "bytes=1000-"

    def test_another_version_is_fetched_from_its_beginning(self, server):
        server.answers["/disk"] = ranged
        content, head = get(server.url("/disk"), b"old" * 300, offset=900, validator='"v0"')
        assert head.offset == 0
        assert content == CONTENT

    def test_what_is_there_whole_is_not_sent_again(self, server):
        server.answers["/disk"] = says(416, content_range=f"bytes */{len(CONTENT)}")
        content, head = get(server.url("/disk"), CONTENT, offset=len(CONTENT), validator='"v1"')
        assert content == CONTENT
        assert head.length == len(CONTENT)

    def test_without_a_version_it_begins_anew(self, server):
        server.answers["/disk"] = ranged
        get(server.url("/disk"), CONTENT[:10], offset=10, validator="")
        assert "range" not in server.asked[0]

    def test_a_server_that_hangs_up_early_is_asked_again_later(self, server):
        server.answers["/disk"] = says(200, CONTENT[:1000], content_length="5000")
        assert refusal(server.url("/disk")).is_passing

    def test_no_more_than_the_limit_is_taken(self, server):
        server.answers["/known"] = says(200, CONTENT)
        server.answers["/unknown"] = says(200, CONTENT, content_length="")
        for path in ("/known", "/unknown"):
            refused = refusal(server.url(path), most_bytes=1000)
            assert "larger than" in str(refused)
            assert not refused.is_passing


@pytest.mark.slow
class TestPace:
    """A server that drips keeps a worker for a minute, and not for days."""

    @pytest.fixture(autouse=True)
    def short(self, monkeypatch):
        monkeypatch.setattr(fetch, "PACE_S", 0.5)

    def drips(self, begin: bytes, drop: bytes):
        def answer(request):
            with suppress(OSError):
                request.wfile.write(begin)
                while True:
                    request.wfile.write(drop)
                    select.poll().poll(50)

        return answer

    @pytest.mark.parametrize(
        ("begin", "drop"),
        [
            (b"HTTP/1.1 200 OK\r\n", b"X-More: x\r\n"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n", b"x"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x"),
        ],
        ids=["head", "file", "framing"],
    )
    def test_whatever_it_drips_it_is_hung_up_on(self, server, begin, drop):
        server.answers["/x"] = self.drips(begin, drop)
        refused = refusal(server.url("/x"))
        assert "less than 16 KiB a second" in str(refused)
        assert refused.is_passing

    def test_redirects_win_it_no_time(self, server):
        def hop(request):
            select.poll().poll(300)
            says(302, location="/x")(request)

        server.answers["/x"] = hop
        assert "less than 16 KiB a second" in str(refusal(server.url("/x")))


class TestAnswers:
    @pytest.mark.parametrize(
        ("status", "word"), [(404, "no such file"), (401, "password"), (410, "410")]
    )
    def test_a_page_instead_of_a_file_is_never_kept(self, server, status, word):
        server.answers["/x"] = says(status, b"<html>sorry</html>")
        refused = refusal(server.url("/x"))
        assert word in str(refused)
        assert not refused.is_passing

    @pytest.mark.parametrize("status", [429, 500, 503])
    def test_not_now_is_not_no(self, server, status):
        server.answers["/x"] = says(status)
        assert refusal(server.url("/x")).is_passing

    def test_what_follows_the_stated_length_is_no_part_of_the_file(self, server):
        server.answers["/x"] = says(200, CONTENT + b"more", content_length=str(len(CONTENT)))
        server.answers["/none"] = says(200, b"more", content_length="0")
        assert get(server.url("/x"))[0] == CONTENT
        assert get(server.url("/none"))[0] == b""

    def test_a_file_comes_in_chunks_too(self, server):
        framed = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (CONTENT, b"end", b""))
        server.answers["/x"] = says(200, framed, content_length="", transfer_encoding="chunked")
        assert get(server.url("/x"))[0] == CONTENT + b"end"

    def test_an_answer_that_states_two_lengths_is_not_kept(self, server):
        framed = b"%x\r\n%b\r\n0\r\n\r\n" % (len(CONTENT), CONTENT)
        server.answers["/x"] = says(200, framed, transfer_encoding="chunked")
        assert refusal(server.url("/x")).is_passing  # both framings, and one of them lies

    def test_packed_answers_are_refused(self, server):
        server.answers["/x"] = says(200, b"...", content_encoding="gzip")
        assert "packs" in str(refusal(server.url("/x")))


class TestRedirects:
    def test_they_are_followed(self, server):
        server.answers["/a"] = says(302, location="/disk")
        server.answers["/disk"] = ranged
        assert get(server.url("/a"))[0] == CONTENT

    def test_not_for_ever(self, server):
        server.answers["/a"] = says(302, location="/a")
        assert "redirects more than" in str(refusal(server.url("/a")))

    def test_each_is_checked(self, server):
        server.answers["/a"] = says(302, location="http://10.1.2.3/secret")
        server.answers["/b"] = says(302, location="file:///etc/passwd")
        assert "private network" in str(refusal(server.url("/a")))
        assert "begins with https" in str(refusal(server.url("/b")))


class TestAddresses:
    def test_nobody_is_led_to_ask_for_where_clouds_keep_their_secrets(self):
        assert "PORTAL_FETCH_NETWORKS" in str(refusal("http://10.0.0.1/"))
        assert "PORTAL_FETCH_NETWORKS" not in str(refusal("http://169.254.169.254/latest/"))

    @pytest.mark.parametrize(
        "url",
        [
            "http://127.0.0.1/", "http://localhost/", "http://[::1]/", "http://10.0.0.1/",
            "http://169.254.169.254/latest/meta-data/", "http://[fe80::1]/", "http://0.0.0.0/",
            "http://[::ffff:10.0.0.1]/", "http://[64:ff9b::7f00:1]/", "http://2130706433/",
            "http://0x7f.1/", "http://[2002:7f00:1::]/", "http://192.168.0.1:8080/",
            "http://100.64.0.1/", "http://224.0.0.1/", "http://192.0.0.9/", "http://192.88.99.1/",
            "http://[64:ff9b:1::7f00:1]/", "http://[::127.0.0.1]/", "http://[::ffff:0:127.0.0.1]/",
            "http://[fec0::1]/", "http://[5f00::1]/", "http://[3fff::1]/", "http://[2001:db8::1]/",
            "http://[2606:2800:21f:cb07:0:5efe:10.0.0.1]/", "http://[2620:4f:8000::1]/",
            "http://[2001::1]/", "http://[2001:20::1]/", "http://192.175.48.1/", "http://198.19.0.1/",
            "http://[ff02::1]/", "http://[100::1]/", "http://255.255.255.255/", "http://[::]/",
        ],
    )  # fmt: skip
    def test_what_is_inside_stays_inside(self, url):
        assert "private network" in str(refusal(url, allowed=()))

    @pytest.mark.parametrize(
        ("url", "word"),
        [
            ("ftp://example.org/x", "https://"), ("file:///etc/passwd", "https://"), ("nonsense", "https://"),
            ("http://", "names a server"), ("http://me:secret@example.org/", "user name"),
            ("http://example.org:22/", "Port 22"), ("http://example.org:99999/", "not an address"),
            ("http://[::1/", "not an address"), ("http://example.org/a b", "blanks"),
            ("http://example.org/\u00e4", "a to z"), ("http://exa\\mple.org/", "no server's name"),
            ("http://example.org%2f.here/", "no server's name"),
            ("http://example.org:0/", "Port 0"), ("http://example.org:8080/", "80, 443"),
        ],
    )  # fmt: skip
    def test_what_is_no_web_address_is_named(self, url, word):
        assert word in str(refusal(url, ports=()))

    def test_a_network_can_be_allowed(self):
        allowed = fetch.networks(["10.1.0.0/16"])
        assert fetch.may_reach(ipaddress.ip_address("10.1.2.3"), allowed)
        assert fetch.may_reach(ipaddress.ip_address("::ffff:10.1.2.3"), allowed)
        assert not fetch.may_reach(ipaddress.ip_address("10.2.2.3"), allowed)

    @pytest.mark.parametrize(
        "public",
        ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "64:ff9b::5db8:d70e"],
    )
    def test_public_ones_are_reached(self, public):
        assert fetch.may_reach(ipaddress.ip_address(public))
        assert not fetch.is_own(ipaddress.ip_address(public))

    def test_the_host_knows_its_own_addresses(self):
        for own in ("127.0.0.1", "127.9.9.9", "::1"):
            assert fetch.is_own(ipaddress.ip_address(own))

    def test_ports_are_those_of_the_web_and_of_the_site(self, server):
        server.answers["/disk"] = ranged
        assert "80, 443" in str(refusal(server.url("/disk"), ports=()))
        assert server.asked == []
        assert get(server.url("/disk"), ports=[server.http.server_port])[0] == CONTENT

    def test_an_unknown_name_may_be_known_later(self):
        assert refusal("http://no-such-host.invalid/").is_passing

    def test_a_closed_port_may_open_later(self, server):
        url = server.url("/")
        server.close()
        assert refusal(url).is_passing


def test_a_certificate_that_nobody_vouches_for_is_refused(server, tmp_path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_certificate(tmp_path / "pair.pem"))
    server.http.socket = context.wrap_socket(server.http.socket, server_side=True)
    server.answers["/disk"] = ranged
    refused = refusal(server.url("/disk", scheme="https"))
    assert "certificate is not valid" in str(refused)


def _certificate(path):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime(2026, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=9999))
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path
