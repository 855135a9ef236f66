"""One broken rule at a time, each refused with its own message that names the element."""

import pytest

from marketplace.documents import Broken, parse
from marketplace.tests.signing import EXAMPLE, IDENTIFIER

SHA1 = "f716f46361137f9814643484f16c4ab4656bb49b"
OTHER = "MMZu9WvwKIro-rtBQfDk4PsKO7_"
END = "</rdf:Description>"
CHECKSUM = (
    '<slreq:checksum rdf:parseType="Resource"><slreq:algorithm>{}</slreq:algorithm>'
    "<slreq:value>{}</slreq:value></slreq:checksum>"
)
IDENTIFIER_ELEMENT = f"<dcterms:identifier>{IDENTIFIER}</dcterms:identifier>"
EMAIL = "<slreq:email>alice@example.org</slreq:email>"
SUBJECT = "<slreq:subject>CN=Alice Example,O=Example Lab</slreq:subject>"
ENDORSED = "<dcterms:created>2026-01-15T10:00:00Z</dcterms:created>"
XHTML = '<script xmlns="http://www.w3.org/1999/xhtml">1</script>'

#: What is put in the place of what in the example, the element that is named, and what is said.
RULES = [
    # The root
    ('         xml:base="http://mp.stratuslab.eu/"', "", "rdf:RDF",
     "root element must have xml:base attribute with value http://mp.stratuslab.eu/; it has none"),
    ('xml:base="http://mp.stratuslab.eu/"', 'xml:base="http://mp.stratuslab.eu"', "rdf:RDF",
     "root element must have xml:base attribute with value http://mp.stratuslab.eu/; it has http:"),
    ("rdf:RDF", "rdf:Bag", "rdf:Bag", "The root element must be rdf:RDF; it is rdf:Bag"),
    ("rdf:Description", "rdf:Thing", "rdf:Description", "exactly 1 rdf:Description element"),
    ("</rdf:RDF>", f'<rdf:Description rdf:about="#{IDENTIFIER}"/></rdf:RDF>', "rdf:Description",
     "exactly 1 rdf:Description element; it has 2"),
    ("</rdf:RDF>", "<dcterms:title>x</dcterms:title></rdf:RDF>", "dcterms:title",
     "The root element has dcterms:title"),
    ("</rdf:RDF>", "and more</rdf:RDF>", "rdf:RDF", "text beside its elements: “and more”"),
    ("<rdf:RDF ", '<rdf:RDF rdf:ID="x" ', "rdf:RDF", "has the attribute rdf:ID"),
    # The description
    (f'rdf:about="#{IDENTIFIER}"', f'rdf:about="#{OTHER}"', "rdf:about",
     "rdf:about attribute (#MMZu9WvwKIro-rtBQfDk4PsKO7_) and dcterms:identifier (PcW9GNhE3-"),
    (f'rdf:about="#{IDENTIFIER}"', "", "rdf:about", "rdf:about attribute (none)"),
    (f'rdf:about="#{IDENTIFIER}"', f'rdf:about="{IDENTIFIER}"', "rdf:about", "not consistent"),
    ("<rdf:Description ", '<rdf:Description dcterms:title="x" ', "rdf:Description",
     "rdf:Description has the attribute dcterms:title"),
    (END, f"and more{END}", "rdf:Description", "text beside its elements"),
    # What it must say
    (IDENTIFIER_ELEMENT, "", "dcterms:identifier",
     "description must have exactly 1 dcterms:identifier element; it has 0"),
    (IDENTIFIER_ELEMENT, IDENTIFIER_ELEMENT * 2, "dcterms:identifier", "it has 2"),
    (f">{IDENTIFIER}<", ">short<", "dcterms:identifier",
     "dcterms:identifier value (short) is not an image identifier"),
    (IDENTIFIER, OTHER, "dcterms:identifier",
     "checksum from identifier (c319bbd5afc0a22ba3eaed0507c39383ec28eeff) and SHA-1 checksum "
     f"({SHA1}) are not consistent: the identifier of this checksum is {IDENTIFIER}"),
    ("<slreq:bytes>17</slreq:bytes>", "", "slreq:bytes", "exactly 1 slreq:bytes element"),
    (">17<", ">-1<", "slreq:bytes", "slreq:bytes value (-1) is not a whole number from 0"),
    (">17<", ">1.5e9<", "slreq:bytes", "value (1.5e9) is not a whole number"),
    (">17<", ">9223372036854775808<", "slreq:bytes", "9,223,372,036,854,775,807"),
    (">17<", ">\u0661\u0667<", "slreq:bytes", "is not a whole number"),
    (">17<", "><", "slreq:bytes", "is not a whole number"),
    ("<dcterms:type>base</dcterms:type>", "", "dcterms:type",
     "description must have exactly 1 dcterms:type element; it has 0"),
    ("<dcterms:type>", "<dcterms:type>grid</dcterms:type><dcterms:type>", "dcterms:type",
     "description must have exactly 1 dcterms:type element; it has 2"),
    (">base<", "><slreq:bytes>1</slreq:bytes><", "dcterms:type",
     "dcterms:type cannot have child elements"),
    # Checksums
    (">SHA-1<", ">SHA-256<", "slreq:checksum",
     "exactly 1 slreq:checksum element using SHA-1 algorithm; it has 0"),
    ("<slreq:endorsement ", CHECKSUM.format("SHA-1", SHA1) + "<slreq:endorsement ",
     "slreq:checksum", "exactly 1 slreq:checksum element using SHA-1 algorithm; it has 2"),
    ("<slreq:endorsement ", CHECKSUM.format("MD5", "ab" * 16) + "<slreq:endorsement ",
     "slreq:checksum", "at most 1 slreq:checksum element using MD5 algorithm; it has 2"),
    (">f4e8350cecd29d10333d44c738ad387f<", ">f4e8<", "slreq:checksum",
     "slreq:checksum value of MD5 (f4e8) is not 32 hexadecimal digits"),
    (f">{SHA1}<", f">{SHA1[:-1]}g<", "slreq:checksum", "is not 40 hexadecimal digits"),
    (f">{SHA1}<", "><", "slreq:checksum", "slreq:checksum value of SHA-1"),
    ("<slreq:algorithm>MD5</slreq:algorithm>", "", "slreq:checksum",
     "slreq:checksum must have exactly 1 slreq:algorithm element; it has 0"),
    ("<slreq:algorithm>MD5</slreq:algorithm>", "<slreq:bytes>1</slreq:bytes>"
     "<slreq:algorithm>MD5</slreq:algorithm>", "slreq:checksum",
     "slreq:checksum cannot have slreq:bytes"),
    ('<slreq:checksum rdf:parseType="Resource">', "<slreq:checksum>", "slreq:checksum",
     'slreq:checksum must have the attribute rdf:parseType="Resource"'),
    # The endorsement
    (END, f'<slreq:endorsement rdf:parseType="Resource"/>{END}', "slreq:endorsement",
     "document must contain exactly 1 slreq:endorsement element; it has 2"),
    (ENDORSED, "", "slreq:endorsement", "must have exactly 1 dcterms:created element; it has 0"),
    ("2026-01-15T10:00:00Z", "yesterday", "dcterms:created",
     "dcterms:created value (yesterday) is not a valid date"),
    (EMAIL, "", "slreq:endorser", "must have exactly 1 slreq:email element; it has 0"),
    (EMAIL, EMAIL * 2, "slreq:endorser", "must have exactly 1 slreq:email element; it has 2"),
    ("alice@example.org", "alice at example.org", "slreq:email",
     "slreq:email value (alice at example.org) is an invalid email address"),
    ("alice@example.org", "alice@example.org\nBcc: x", "slreq:email", "invalid email address"),
    ("alice@example.org", "a" * 243 + "@example.org", "slreq:email", "invalid email address"),
    (SUBJECT, "", "slreq:endorser", "must have exactly 1 slreq:subject element; it has 0"),
    (SUBJECT, "<slreq:subject/>", "slreq:subject", "slreq:subject value () is empty"),
    (SUBJECT.replace("subject", "issuer"), "", "slreq:endorser",
     "must have at least 1 slreq:issuer element; it has 0"),
    (SUBJECT.replace("subject", "issuer"), SUBJECT.replace("subject", "issuer") * 11,
     "slreq:issuer", "at most 10 slreq:issuer elements"),
    ('<slreq:endorser rdf:parseType="Resource">', "<slreq:endorser>", "slreq:endorser",
     'slreq:endorser must have the attribute rdf:parseType="Resource"'),
    # What it may say once
    *((END, f"<{name}>1</{name}><{name}>1</{name}>{END}", name,
       f"description must have at most 1 {name} element")
      for name in ("slterms:serial-number", "slterms:version", "slterms:deprecated", "slterms:os",
                   "slterms:os-arch", "slterms:os-version", "slterms:kind", "dcterms:format",
                   "dcterms:compression", "dcterms:valid", "dcterms:created")),
    # Dates
    ("2026-07-12T09:58:00Z", "2026-02-30T09:58:00Z", "dcterms:valid",
     "dcterms:valid value (2026-02-30T09:58:00Z) is not a valid date: there is no such day"),
    ("2026-07-12T09:58:00Z", "2026-07-12", "dcterms:valid", "is not a valid date: it is written"),
    ("2026-07-12T09:58:00Z", "2026-07-12T09:58:00+02:00", "dcterms:valid", "is not a valid date"),
    ("2026-07-12T09:58:00Z", "9999-07-12T09:58:00Z", "dcterms:valid", "years go from 1970 to 9000"),
    ("2026-01-15T09:58:00Z", "2026-13-15T09:58:00Z", "dcterms:created",
     "dcterms:created value (2026-13-15T09:58:00Z) is not a valid date"),
    # Numbers
    (">22<", ">65536<", "slterms:inbound-port",
     "slterms:inbound-port value (65536) is not a whole number from 0 to 65,535"),
    (END, f"<slterms:outbound-port>ssh</slterms:outbound-port>{END}", "slterms:outbound-port",
     "is not a whole number from 0 to 65,535"),
    (END, f"<slterms:icmp>256</slterms:icmp>{END}", "slterms:icmp", "from 0 to 255"),
    (END, f"<slterms:serial-number>1.0</slterms:serial-number>{END}", "slterms:serial-number",
     "is not a whole number"),
    # Words
    (">gz<", ">rar<", "dcterms:compression", "(rar) is not one of gz, bz2, xz, zst or empty"),
    (">raw<", ">ova<", "dcterms:format", "(ova) is not one of raw, qcow2"),
    ("Debian 12 minimal", "x" * 201, "dcterms:title", "has 201 characters; 200 is most"),
    ("Debian 12 minimal", "a\x85\x9bb", "dcterms:title", "nobody can see"),
    ("Debian 12 minimal", "Debian \u202egnp.exe", "dcterms:title", "marks of direction"),
    ("Debian 12 minimal", "De\u200bbian", "dcterms:title", "blanks without width"),
    ("https://images.example.org/debian-12.img.gz", "javascript:alert(1)", "slterms:location",
     "is not an address that begins with http://, https://, ftp:// or pdisk:"),
    ("https://images.example.org/debian-12.img.gz", "file:///etc/passwd", "slterms:location",
     "is not an address"),
    ("https://images.example.org/debian-12.img.gz", "http://a b/", "slterms:location",
     "without blanks"),
    (END, "<slterms:location>http://a/b</slterms:location>" * 200 + END, "slterms:location",
     "at most 200 slterms:location elements; it has 201"),
    (">debian<", ' xml:id="x">debian<', "slterms:os", "slterms:os has the attribute xml:id"),
    (">debian<", ' rdf:resource="http://x/">debian<', "slterms:os", "attribute rdf:resource"),
    # Comments that hide half of a text
    ("alice@example.org", "alice@example.org<!-- -->.example.net", "slreq:email",
     "slreq:email has a comment inside its text"),
    (">17<", ">1<!-- -->7<", "slreq:bytes", "slreq:bytes has a comment inside its text"),
    (f">{IDENTIFIER}<", f"><!-- x -->{IDENTIFIER}<", "dcterms:identifier",
     "dcterms:identifier has a comment inside its text"),
    # What is no statement
    (END, f"<nothing/>{END}", "nothing", "nothing has no namespace"),
    (END, f'<dcterms:rights rdf:ID="x">y</dcterms:rights>{END}', "dcterms:rights",
     "dcterms:rights has the attribute rdf:ID"),
    (END, f"<rdf:li>y</rdf:li>{END}", "rdf:li", "rdf:li is not a property"),
    (END, f'<dcterms:rights rdf:parseType="Collection"/>{END}', "dcterms:rights",
     'has rdf:parseType="Collection"'),
    (END, f"<dcterms:rights>a<slreq:b/>c</dcterms:rights>{END}", "dcterms:rights",
     "text beside its elements"),
    (END, f"<dcterms:rights><slreq:b/><slreq:b/></dcterms:rights>{END}", "dcterms:rights",
     'no rdf:parseType="Resource"'),
    (END, f'<dcterms:isPartOf><rdf:Description rdf:about="#{IDENTIFIER}"><slterms:deprecated/>'
     f"</rdf:Description></dcterms:isPartOf>{END}", "dcterms:isPartOf",
     "speaks of the image itself from inside"),
    (END, f'<dcterms:rights xml:base="http://elsewhere/">x</dcterms:rights>{END}',
     "dcterms:rights", "dcterms:rights has an xml:base of its own"),
    (END, f"{XHTML}{END}", "{http://www.w3.org/1999/xhtml}script", "a browser would run"),
    ("<slterms:location>", '<slterms:location rdf:resource="https://elsewhere.example/a">',
     "slterms:location", "text or another attribute beside its rdf:resource"),
    (END, f'<slterms:location rdf:resource="" rdf:datatype="x"/>{END}', "slterms:location",
     "text or another attribute beside its rdf:resource"),
    # Signatures where none belongs
    ("<rdf:Description ", '<Signature xmlns="http://www.w3.org/2000/09/xmldsig#"/>'
     "<rdf:Description ", "ds:Signature", "ds:Signature must be the last child of the root"),
    (END, f'<Signature xmlns="http://www.w3.org/2000/09/xmldsig#"/>{END}', "ds:Signature",
     "ds:Signature must be the last child of the root"),
    ("</rdf:RDF>", '<Signature xmlns="http://www.w3.org/2000/09/xmldsig#"/>' * 2 + "</rdf:RDF>",
     "ds:Signature", "at most 1 ds:Signature element; it has 2"),
    (END, f'<Object xmlns="http://www.w3.org/2000/09/xmldsig#"/>{END}', "ds:Object",
     "ds:Object belongs into the document's ds:Signature"),
    # Our own words
    (END, '<p:default-user xmlns:p="http://mp.stratuslab.eu/portal#">a b; rm</p:default-user>'
     + END, "slportal:default-user", "is not the name of a user"),
    (END, '<p:min-memory-mib xmlns:p="http://mp.stratuslab.eu/portal#">1048577</p:min-memory-mib>'
     + END, "slportal:min-memory-mib", "from 0 to 1,048,576"),
]  # fmt: skip


@pytest.mark.parametrize(("was", "now", "element", "words"), RULES)
def test_a_broken_rule_is_refused_and_named(was, now, element, words):
    assert was.encode() in EXAMPLE
    with pytest.raises(Broken) as refused:
        parse(EXAMPLE.replace(was.encode(), now.encode()))
    said = [problem.sentence for problem in refused.value.problems if problem.element == element]
    assert any(words in sentence for sentence in said), refused.value.problems
    assert all(sentence.endswith(".") for sentence in said)


def test_everything_that_is_wrong_is_said_at_once_with_its_line():
    xml = EXAMPLE.replace(b">17<", b">x<").replace(b"2026-07-12", b"2026-77-12")
    with pytest.raises(Broken) as refused:
        parse(xml.replace(b">gz<", b">rar<"))
    problems = {problem.element: problem.line for problem in refused.value.problems}
    assert problems == {"slreq:bytes": 9, "dcterms:compression": 32, "dcterms:valid": 36}


def test_there_are_more_rules_than_forty():
    assert len(RULES) > 80
