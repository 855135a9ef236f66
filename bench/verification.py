"""Metadata documents a second: read, verified, signed; alone and in threads."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import xmlsec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from lxml import etree

from bench.figures import Figure, Section, spread, table
from marketplace.documents import Signer, parse, rdf_json, sign, split_list, verify, wrap_list
from marketplace.tests.signing import EXAMPLE, alice, certificate, dsa_key

ROUNDS, DOCUMENTS, THREADS = 5, 300, 2
AT = datetime(2026, 1, 15, 10, tzinfo=UTC)
HOW = f"""The complete entry of the format (33 statements, 4 KB signed), {DOCUMENTS} times a round.
*Judged* is what a document goes through on its way into the catalogue: every rule of the format,
then the structure of the signature, then the signature. *The library alone* is lxml reading the
same bytes and xmlsec verifying them with a key that it is given."""

Work = Callable[[], object]


def measure() -> Section:
    signed = {"RSA 2048": _signed(alice()), "DSA 2048": _signed(_dsa_signer())}
    rsa = signed["RSA 2048"]
    listed = b"".join(wrap_list([rsa] * DOCUMENTS))
    works: dict[str, Work] = {
        "read (parse)": lambda: parse(rsa),
        **{f"verify, {name}": _verifying(xml) for name, xml in signed.items()},
        "judged (parse and verify)": lambda: _judged(rsa),
        "the library alone": _bare(rsa),
        "sign, RSA 2048": lambda: sign(EXAMPLE, alice(), at=AT, email="alice@example.org"),
        "as RDF/JSON": lambda: rdf_json(rsa),
    }
    found = {name: [_per_second(work) for _ in range(ROUNDS)] for name, work in works.items()}
    found[f"judged, in {THREADS} threads"] = [_in_threads(rsa) for _ in range(ROUNDS)]
    found["split from a list"] = [_split(listed) for _ in range(ROUNDS)]
    return _section(found)


def _section(found: dict[str, list[float]]) -> Section:
    judged, bare = (sorted(found[name])[ROUNDS // 2] for name in
                    ("judged (parse and verify)", "the library alone"))  # fmt: skip
    rows = [(name, spread(rates, 0)) for name, rates in found.items()]
    return Section(
        title="Metadata documents",
        how=HOW,
        figures=[
            Figure("documents judged in a second, on one core", judged, ""),
            Figure("judged ÷ the library alone, in time", bare / judged, "times"),
        ],
        detail=table(("documents a second", "median [least to most]"), rows),
    )


def _signed(signer: Signer) -> bytes:
    return sign(EXAMPLE, signer, at=AT, email="alice@example.org")


def _dsa_signer() -> Signer:
    return Signer(key=dsa_key(), certificate=certificate(dsa_key()))


def _verifying(xml: bytes) -> Work:
    return lambda: verify(xml)


def _judged(xml: bytes) -> None:
    parse(xml)
    verify(xml)


def _bare(xml: bytes) -> Work:
    public = alice().key.public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def once() -> None:
        context = xmlsec.SignatureContext()
        context.key = xmlsec.Key.from_memory(pem, xmlsec.constants.KeyDataFormatPem)
        context.verify(etree.fromstring(xml)[-1])

    return once


def _per_second(work: Work) -> float:
    began = time.perf_counter()
    for _ in range(DOCUMENTS):
        work()
    return DOCUMENTS / (time.perf_counter() - began)


def _in_threads(xml: bytes) -> float:
    began = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(_judged, [xml] * DOCUMENTS))
    return DOCUMENTS / (time.perf_counter() - began)


def _split(listed: bytes) -> float:
    began = time.perf_counter()
    assert len(split_list(listed)) == DOCUMENTS
    return DOCUMENTS / (time.perf_counter() - began)
