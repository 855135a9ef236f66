"""YAML of strangers: it is read only if it stays small."""

import time

import pytest
import yaml

from core import yamls

BOMB = "\n".join(
    ["a0: &a0 {k: v}"]
    + [f"a{n}: &a{n}\n  <<: [{', '.join([f'*a{n - 1}'] * 8)}]" for n in range(1, 12)]
)
LAUGHS = "\n".join(
    ["- &l0 [ha, ha]"] + [f"- &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 20)]
)


@pytest.mark.parametrize("loader", [yamls.SafeLoader, yamls.BaseLoader])
@pytest.mark.parametrize("text", [BOMB, LAUGHS, "[" * 60_000, "a: " + "{a: " * 60_000])
def test_what_would_end_the_process_is_refused_at_once(text, loader):
    began = time.monotonic()
    with pytest.raises(yamls.TooMuch) as refused:
        yamls.load(text, loader)
    assert refused.value.problem_mark.line >= 0
    assert time.monotonic() - began < 0.5


def test_what_people_write_is_read():
    text = "base: &base {ports: [22, 80]}\nweb:\n  <<: *base\n  name: no\n"
    assert yamls.load(text)["web"] == {"ports": [22, 80], "name": False}
    assert yamls.load("- name: no", yamls.BaseLoader) == [{"name": "no"}]
    assert yamls.load("") is None
    with pytest.raises(yaml.YAMLError):
        yamls.load("a: [")
    with pytest.raises(yaml.YAMLError):
        yamls.load("- *nobody")
