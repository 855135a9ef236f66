"""deploy/test.py: what `make test` counts."""

import importlib.util

import pytest


@pytest.fixture
def runner(checkout):
    """The module, by its path: `import test` is Python's own."""
    spec = importlib.util.spec_from_file_location("suites", checkout / "deploy" / "test.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def report(path, **numbers: int):
    attributes = " ".join(f'{name}="{number}"' for name, number in numbers.items())
    path.write_text(f"<testsuites><testsuite {attributes} /></testsuites>")
    return path


def test_a_report_is_counted(runner, tmp_path):
    file = report(tmp_path / "x.xml", tests=10, failures=1, errors=1, skipped=3)
    count = runner.read(file, 1)
    assert (count.passed, count.failed, count.skipped) == (5, 2, 3)


def test_a_suite_that_ran_nothing_has_failed(runner, tmp_path):
    assert runner.read(report(tmp_path / "x.xml", tests=0), 5).failed == 1


def test_a_suite_that_crashed_has_failed(runner, tmp_path):
    assert runner.read(tmp_path / "none.xml", 0).failed == 1
    assert runner.read(report(tmp_path / "x.xml", tests=3), 3).failed == 1


def test_the_last_line_counts_everything(runner, capsys):
    counts = {"lint": runner.Count(3), "fast": runner.Count(10, 0, 2)}
    assert runner.summarise(counts) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "TOTAL: 13 passed, 0 failed, 2 skipped"


def test_what_failed_is_said_again_at_the_end(runner, tmp_path, capsys):
    file = tmp_path / "x.xml"
    file.write_text(
        '<testsuites><testsuite tests="2" failures="1"><testcase classname="a" name="fine"/>'
        '<testcase classname="a.b" name="breaks"><failure message="1 is not 2&#10;more"/>'
        "</testcase></testsuite></testsuites>"
    )
    runner.summarise({"fast": runner.read(file, 1)})
    assert "FAILED in fast: a.b::breaks: 1 is not 2" in capsys.readouterr().out.splitlines()


def test_one_failure_fails_the_whole(runner):
    assert runner.summarise({"fast": runner.Count(10, 1)}) == 1


def test_an_unknown_suite_is_refused_with_the_known_ones(runner, capsys):
    assert runner.main(["quick"]) == 1
    assert "there are lint, types" in capsys.readouterr().err
