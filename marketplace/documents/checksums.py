"""What a description says about the bytes: its checksums, and the identifier that follows."""

from lxml import etree

from cloud.diskfiles import identifiers
from marketplace.documents import values
from marketplace.documents.reading import Problems, line_of
from marketplace.documents.resources import parts_of
from marketplace.documents.vocabulary import tag


def checksums_of(
    description: etree._Element, problems: Problems
) -> tuple[dict[str, str], list[etree._Element]]:
    """The checksums by algorithm, and those elements whose algorithm we do not know."""
    sums: dict[str, str] = {}
    seen: dict[str, int] = {}
    unknown = []
    for element in description.findall(tag("slreq:checksum")):
        parts = parts_of(element, ("slreq:algorithm", "slreq:value"), problems)
        algorithm, digest = parts.get("slreq:algorithm"), parts.get("slreq:value")
        if algorithm is None or digest is None:
            continue
        seen[algorithm] = seen.get(algorithm, 0) + 1
        if algorithm not in values.CHECKSUM_DIGITS:
            unknown.append(element)
        elif digest or algorithm == "SHA-1":  # the tools leave blank what they skipped
            _read(element, algorithm, digest, sums, problems)
    _check_counts(seen, problems, line_of(description))
    return sums, unknown


def check_sha1(
    identifier: str, sums: dict[str, str], description: etree._Element, problems: Problems
) -> None:
    """The identifier is the SHA-1 in other digits."""
    sha1 = sums.get("SHA-1", "")
    if identifier and sha1 and identifiers.identifier_of(sha1) != identifier:
        problems.add(
            "sha1_identifier", "dcterms:identifier",
            f"The checksum from identifier ({identifiers.sha1_of(identifier)}) and SHA-1 "
            f"checksum ({sha1}) are not consistent: the identifier of this checksum is "
            f"{identifiers.identifier_of(sha1)}.", line_of(description),
        )  # fmt: skip


def _read(
    element: etree._Element,
    algorithm: str,
    digest: str,
    sums: dict[str, str],
    problems: Problems,
) -> None:
    digits = values.CHECKSUM_DIGITS[algorithm]
    if (
        digest and algorithm == "SHA-1"
    ):  # old tools add or lose zeros in front; the identifier proves the rest
        digest = digest.lstrip("0").rjust(digits, "0")
    try:
        sums[algorithm] = values.hexadecimal(digest, digits)
    except ValueError as error:
        problems.add(
            "checksum", "slreq:checksum",
            f"slreq:checksum value of {algorithm} ({digest[:60]}) {error}.", line_of(element),
        )  # fmt: skip


def _check_counts(seen: dict[str, int], problems: Problems, line: int | None) -> None:
    if seen.get("SHA-1", 0) != 1:
        problems.add(
            "sha1", "slreq:checksum",
            "The description must have exactly 1 slreq:checksum element using SHA-1 algorithm; it "
            f"has {seen.get('SHA-1', 0)}.", line,
        )  # fmt: skip
    for algorithm in values.CHECKSUM_DIGITS:
        if algorithm != "SHA-1" and seen.get(algorithm, 0) > 1:
            problems.add(
                "checksum", "slreq:checksum",
                "The description must have at most 1 slreq:checksum element using "
                f"{algorithm} algorithm; it has {seen[algorithm]}.", line,
            )  # fmt: skip
