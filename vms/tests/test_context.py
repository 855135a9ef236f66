"""Contextualization as files. The decoder here knows the format from its description alone
(stratuslab.md 3.2), and nothing of the portal's own writer."""

import base64
import email
import gzip
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.types import ContextMethod
from vms.context import (
    LARGEST_PACKED_BYTES,
    BadPair,
    Context,
    Level,
    Part,
    Unreadable,
    as_json,
    check,
    cloud_init_txt,
    from_json,
    packed_bytes,
    read_cloud_init_txt,
    read_pairs,
    read_parts,
    user_data,
    with_system,
    write_pairs,
)
from vms.context.modules import KEYS
from vms.context.multipart import write

KEY = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQDexample alice@lab"
HELLO = Part("x-shellscript", "hello.sh", "#!/bin/sh\necho hello > /root/hello.txt\n")
CONFIG = Part("cloud-config", "cfg.yaml", "#cloud-config\npackages:\n - httpd\n")

A_KEYS = "c3NoLXJzYSBBQUFBQjNOemFDMXljMkVBQUFBREFRQUJBQUFBZ1FEZXhhbXBsZSBhbGljZUBsYWIK"
A_DATA = "H4sIAAAAAAAC/1NW1E/KzNMvzuBKTc7IV8hIzcnJV7BT0C/Kzy/RB/P0SipKuACKrpkRJwAAAA=="
B_TEXT = """\
Content-Type: multipart/mixed; boundary="BOUNDARY"
MIME-Version: 1.0

--BOUNDARY
Content-Type: text/cloud-config; charset="us-ascii"
MIME-Version: 1.0
Content-Transfer-Encoding: 7bit
Content-Disposition: attachment; filename="cfg.yaml"

#cloud-config
packages:
 - httpd

--BOUNDARY
Content-Type: text/x-shellscript; charset="us-ascii"
MIME-Version: 1.0
Content-Transfer-Encoding: 7bit
Content-Disposition: attachment; filename="hello.sh"

#!/bin/sh
echo hello > /root/hello.txt

--BOUNDARY--
"""


def decode(text: str) -> tuple[str, str]:
    """The keys and the user data of a ``cloud-init.txt``."""
    pairs = dict(line.split("=", 1) for line in text.split("\n") if line)
    assert pairs.pop("CONTEXT_METHOD") == "cloud-init"
    keys = base64.b64decode(pairs.pop("CLOUD_INIT_AUTHORIZED_KEYS", "")).decode()
    packed = base64.b64decode(pairs.pop("CLOUD_INIT_USER_DATA", ""))
    assert not pairs
    return keys, gzip.decompress(packed).decode() if packed else ""


def leaves(text: str) -> list[tuple[str, str, str]]:
    """Type, name and content of every part, as cloud-init reads them."""
    message = email.message_from_string(text)
    assert message.get_content_type() == "multipart/mixed"
    return [
        (part.get_content_type(), part.get_filename(), part.get_payload(decode=True).decode())
        for part in message.get_payload()
    ]


def codes(context: Context) -> list[str]:
    return [problem.code for problem in check(context)]


def test_worked_example_a_is_reproduced():
    text = cloud_init_txt(Context(literal=HELLO.text), [KEY])
    method, keys, _, *rest = text.split("\n")
    assert (method, rest) == ("CONTEXT_METHOD=cloud-init", ["", ""])
    assert keys == f"CLOUD_INIT_AUTHORIZED_KEYS={A_KEYS}"
    assert decode(text) == (f"{KEY}\n", HELLO.text)
    shown = f"CONTEXT_METHOD=cloud-init\n{keys}\nCLOUD_INIT_USER_DATA={A_DATA}\n\n"
    assert decode(shown) == decode(text)
    assert read_cloud_init_txt(shown) == ((KEY,), HELLO.text)


def test_worked_example_b_is_reproduced():
    text = cloud_init_txt(Context(parts=(CONFIG, HELLO)), [KEY])
    keys, data = decode(text)
    boundary = re.match(r'Content-Type: multipart/mixed; boundary="(={15}\d{19}==)"\n', data)[1]
    assert keys == f"{KEY}\n"
    assert data == B_TEXT.replace("BOUNDARY", boundary)
    assert data == user_data(Context(parts=(CONFIG, HELLO)))
    assert leaves(data) == [
        ("text/cloud-config", "cfg.yaml", CONFIG.text),
        ("text/x-shellscript", "hello.sh", HELLO.text),
    ]


def test_a_single_part_becomes_a_message_too():
    assert leaves(user_data(Context(parts=(HELLO,)))) == [
        ("text/x-shellscript", "hello.sh", HELLO.text)
    ]


def test_without_keys_and_user_data_the_file_names_the_method_alone():
    assert cloud_init_txt(Context(), []) == "CONTEXT_METHOD=cloud-init\n"
    assert read_cloud_init_txt("CONTEXT_METHOD=cloud-init\n") == ((), "")


def test_the_same_context_gives_the_same_file():
    context = Context(parts=(CONFIG, HELLO))
    assert cloud_init_txt(context, [KEY]) == cloud_init_txt(context, [KEY])


def test_a_line_that_begins_with_from_stays_as_it_is():
    letter = Part("x-shellscript", "mail.sh", "#!/bin/sh\ncat <<E\nFrom me to you\n>From\nE\n")
    assert "\nFrom me to you\n" in user_data(Context(parts=(letter,)))
    assert leaves(user_data(Context(parts=(letter,))))[0][2] == letter.text


def test_a_part_that_holds_a_boundary_does_not_end_early():
    inner = user_data(Context(parts=(HELLO,)))
    outer = user_data(Context(parts=(Part("x-shellscript", "a.sh", inner), HELLO)))
    assert [text for _, _, text in leaves(outer)] == [inner, HELLO.text]


_ANY = st.text(st.characters(exclude_categories=("Cs",)), max_size=200)
_NAMES = st.from_regex(r"[A-Za-z0-9._+@-]{1,30}", fullmatch=True).filter(
    lambda name: name.strip(".")
)
_PARTS = st.lists(
    st.builds(Part, st.sampled_from(["x-shellscript", "cloud-config", "x-foo"]), _NAMES, _ANY),
    min_size=1,
    max_size=5,
)


@settings(max_examples=50)
@given(_PARTS)
def test_every_decoder_reads_what_was_written(parts):
    text = write(parts)
    assert leaves(text) == [(f"text/{part.subtype}", part.name, part.text) for part in parts]
    assert list(read_parts(text)) == parts


@given(_ANY)
def test_every_literal_text_comes_back_to_the_byte(text):
    _, found = decode(cloud_init_txt(Context(literal=text), []))
    assert found == text


@given(st.text(max_size=400))
def test_no_text_is_read_as_a_file_that_it_is_not(text):
    with pytest.raises(Unreadable, match=r"\S"):
        read_cloud_init_txt(text)


@given(
    st.dictionaries(
        st.from_regex(r"[A-Z_][A-Z0-9_]{0,20}", fullmatch=True),
        st.text(st.characters(exclude_characters="\r\n", exclude_categories=("Cs",)), max_size=60),
        max_size=6,
    )
)
def test_pairs_come_back_as_they_were_written(pairs):
    assert dict(read_pairs(write_pairs(pairs.items()))) == pairs


def test_a_value_may_hold_further_equals_signs_and_a_line_may_be_a_remark():
    assert read_pairs("# hers\n\nA=b=c\nB=\r\n") == (("A", "b=c"), ("B", ""))


def test_a_line_without_an_equals_sign_is_named():
    with pytest.raises(BadPair, match=r"Line 2 has no “=”: “nonsense”"):
        read_pairs("A=1\nnonsense\n")


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ((("1A", ""),), "not the name of a variable"),
        ((("A B", ""),), "not the name of a variable"),
        ((("A", ""), ("a", "")), "set twice"),
        ((("hostname", "x"),), "said by the cloud itself"),
        ((("ETH1_MAC", "x"),), "said by the cloud itself"),
        ((("CONTEXT_METHOD", "cloud-init"),), "belongs to a cloud-init.txt"),
        ((("SCRIPT_EXEC", "a\nb"),), "is one line"),
    ],
)
def test_pairs_that_no_guest_could_have_are_refused(pairs, said):
    (problem,) = check(Context(method=ContextMethod.HEPIX, pairs=pairs))
    assert (problem.level, problem.where) == (Level.ERROR, "pairs")
    assert said in problem.sentence


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hello", "has no “=”"),
        ("A=b\n", "no line “CONTEXT_METHOD=cloud-init”"),
        ("CONTEXT_METHOD=one\n", "for the method “one”"),
        ("CONTEXT_METHOD=cloud-init\nCLOUD_INIT_USER_DATA=***\n", "no base64"),
        ("CONTEXT_METHOD=cloud-init\nCLOUD_INIT_USER_DATA=aGVsbG8=\n", "not packed by gzip"),
        (f"CONTEXT_METHOD=cloud-init\nCLOUD_INIT_USER_DATA={A_DATA[:40]}\n", "in the middle"),
    ],
)
def test_a_file_that_is_none_says_why(text, said):
    with pytest.raises(Unreadable, match=re.escape(said)):
        read_cloud_init_txt(text)


def test_a_file_that_unpacks_to_a_thousand_times_its_size_is_refused():
    bomb = base64.b64encode(gzip.compress(b"\0" * 10_000_000)).decode()
    with pytest.raises(Unreadable, match="unpacks to more than 262144"):
        read_cloud_init_txt(f"CONTEXT_METHOD=cloud-init\nCLOUD_INIT_USER_DATA={bomb}\n")


def test_a_file_over_the_limit_is_refused_with_both_numbers():
    noise = base64.b64encode(b"x" * (LARGEST_PACKED_BYTES + 1)).decode()
    with pytest.raises(Unreadable, match="16385 bytes after gzip; the limit is 16384"):
        read_cloud_init_txt(f"CONTEXT_METHOD=cloud-init\nCLOUD_INIT_USER_DATA={noise}\n")


def test_a_context_comes_back_from_its_column():
    context = Context(parts=(CONFIG, HELLO), pairs=(("A", "b"),), literal="#!/bin/sh\n")
    assert from_json("cloud-init", as_json(context)) == context


@pytest.mark.parametrize("own", [Context(parts=(CONFIG, HELLO)), Context(literal=HELLO.text)])
def test_the_portals_own_parts_come_before_those_of_the_person(own):
    ours = Part("x-shellscript", "00-portal.sh", "#!/bin/sh\ntrue\n")
    text = with_system(user_data(own), (ours,))
    assert leaves(text)[0] == ("text/x-shellscript", "00-portal.sh", ours.text)
    assert leaves(text)[-1][::2] == ("text/x-shellscript", HELLO.text)
    assert with_system("", (ours,)) == write([ours])
    assert with_system("as it is", ()) == "as it is"
    with pytest.raises(Unreadable, match="nothing can be added"):
        with_system("hello", (ours,))


# checks --------------------------------------------------------------------------------------


def test_a_good_context_has_no_problem():
    assert check(Context(parts=(CONFIG, HELLO))) == []
    assert check(Context(literal=user_data(Context(parts=(CONFIG, HELLO))))) == []


@pytest.mark.parametrize(
    ("subtype", "text", "code", "said"),
    [
        ("text/x-shellscript", "#!/bin/sh\n", "subtype_invalid", "Write “x-shellscript”"),
        ("ssh", "ssh-rsa AAAA", "subtype_invalid", "Keys are no part"),
        ("none", "hello", "subtype_invalid", "Literal user data is no part"),
        ("X Y", "hello", "subtype_invalid", "is no type"),
        ("x-shellscript", "echo hello\n", "no_shebang", "begins with #!"),
        ("x-shellscript", " \n", "part_empty", "no text"),
        ("cloud-config", "#cloud-config\na: [\n", "yaml_invalid", "no valid YAML in line"),
        ("cloud-config", "#cloud-config\n- a\n", "yaml_invalid", "is a mapping"),
        ("cloud-config", "#cloud-config\nd: 2024-99-99\n", "yaml_invalid", "no valid YAML"),
        ("cloud-config", "#cloud-config\n? [a]\n: b\n", "yaml_invalid", "no valid YAML"),
        ("cloud-config-archive", "#cloud-config-archive\na: b\n", "yaml_invalid", "is a list"),
        ("x-include-url", "#include\nfile:///etc/passwd\n", "include_invalid", "Line 2"),
        ("part-handler", "#part-handler\nprint(1)\n", "handler_invalid", "list_types"),
        ("plain", "hello", "type_unknown", "Name its type"),
    ],
)
def test_a_part_that_no_guest_understands_is_refused(subtype, text, code, said):
    found = check(Context(parts=(CONFIG, Part(subtype, "x", text))))
    assert [(one.level, one.code, one.part) for one in found] == [(Level.ERROR, code, 2)]
    assert said in found[0].sentence


def test_a_key_that_cloud_init_does_not_know_is_named_with_the_one_that_was_meant():
    (problem,) = check(Context(parts=(Part("cloud-config", "a", "#cloud-config\npackage: [a]\n"),)))
    assert (problem.level, problem.code) == (Level.WARNING, "key_unknown")
    assert "“package”" in problem.sentence
    assert "Did you mean “packages”?" in problem.sentence
    assert {"packages", "runcmd", "users", "write_files", "merge_how"} <= KEYS


def test_a_jinja_template_is_flagged_and_not_read_as_yaml():
    text = "## template: jinja\n#cloud-config\nhostname: {{ v1.local_hostname }}-x\n"
    (problem,) = check(Context(parts=(Part("cloud-config", "a", text),)))
    assert (problem.level, problem.code) == (Level.NOTICE, "jinja")
    assert codes(Context(literal=text)) == ["jinja"]


def test_literal_user_data_say_that_they_replace_the_parts():
    (problem,) = check(Context(parts=(CONFIG, HELLO), literal=HELLO.text))
    assert (problem.level, problem.code) == (Level.NOTICE, "literal_replaces")
    assert "replaces the 2 parts." in problem.sentence
    assert user_data(Context(parts=(CONFIG,), literal=HELLO.text)) == HELLO.text


def test_names_that_meet_and_an_order_that_will_not_be_kept_are_told():
    first, second = (Part("x-shellscript", name, "#!/bin/sh\n") for name in ("b.sh", "a.sh"))
    assert codes(Context(parts=(first, first))) == ["name_twice"]
    (problem,) = check(Context(parts=(first, second)))
    assert problem.code == "scripts_order"
    assert "a.sh, b.sh" in problem.sentence
    assert codes(Context(parts=(Part("x-shellscript", "../a", "#!/bin/sh\n"),))) == ["name_invalid"]


def test_settings_that_a_later_part_replaces_are_told():
    more = Part("cloud-config", "more.yaml", "#cloud-config\npackages: [vim]\n")
    (problem,) = check(Context(parts=(CONFIG, more)))
    assert (problem.code, problem.part) == ("key_replaced", 2)
    assert "“packages” is in cfg.yaml too" in problem.sentence
    merged = Part("cloud-config", "m.yaml", f"{more.text}merge_how: 'list(append)+dict()+str()'\n")
    assert check(Context(parts=(CONFIG, merged))) == []


def test_user_data_over_the_limit_are_refused_with_both_numbers():
    noise = "".join(f"{n * 7919 % 1000003:x}" for n in range(20_000))
    context = Context(literal=f"#!/bin/sh\n{noise}")
    size = packed_bytes(user_data(context))
    assert size > LARGEST_PACKED_BYTES
    (problem,) = check(context)
    assert f"{size} bytes after gzip; the limit is 16384" in problem.sentence


def test_characters_that_are_no_text_are_refused_before_they_are_measured():
    assert codes(Context(literal="#!/bin/sh\n\0")) == ["not_text"]
    assert codes(Context(parts=(Part("x-shellscript", "a", "#!\ud800"),))) == ["not_text"]


def test_what_the_other_method_would_not_hear_is_told():
    hepix = ContextMethod.HEPIX
    assert codes(Context(method=hepix, parts=(HELLO,))) == ["parts_unheard"]
    assert codes(Context(method=hepix, pairs=(("SCRIPT_EXEC", "true"),))) == []
    assert codes(Context(method=hepix, literal="hello")) == ["literal_not_run"]
    assert codes(Context(pairs=(("SCRIPT_EXEC", "true"),))) == ["script_exec_unheard"]


@given(st.text(max_size=300), st.sampled_from(["cloud-config", "x-include-url", "plain", "jinja2"]))
def test_no_text_breaks_the_check(text, subtype):
    check(Context(parts=(Part(subtype, "a", text),)))
    check(Context(literal=text))


@pytest.mark.parametrize("text", ["[" * 60_000, "a: &a [x]\nb: &b [*a, *a]\n" + "[" * 200])
def test_a_cloud_config_that_never_ends_is_refused(text):
    found = check(Context(parts=(Part("cloud-config", "a.yaml", f"#cloud-config\n{text}"),)))
    assert [problem.code for problem in found] == ["yaml_invalid"]


def test_multiparts_within_multiparts_without_an_end_are_not_read():
    text = "MIME-Version: 1.0\n" + "".join(
        f'Content-Type: multipart/mixed; boundary="b{n}"\n\n--b{n}\n' for n in range(4000)
    )
    assert read_parts(text) is None
