"""The plugin as its users meet it: a test file of ten lines, in a pytest of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytest_plugins = ["pytester"]

SPEC = {
    "workflow_id": "labels",
    "dataset": {
        "cases": [{"inputs": {"n": n}, "expected_output": "good"} for n in range(6)],
    },
    "evaluators": [{"id": "same", "entrypoint": "exact_match"}],
    "graph_config": {"entrypoint": "parrot_of_plugin:agent"},
    "prompts": {"system": {"text": "Say good"}},
}
AGENT = "def agent(inputs, prompts): return prompts['system'].text.split()[-1]"
TESTS = """
import pytest

@pytest.mark.cornerman("good.yaml", split="all", min_score=0.9)
def test_good_prompts():
    pass

@pytest.mark.cornerman("bad.yaml", min_score=0.9)
def test_bad_prompts():
    raise AssertionError("the body is not run")

@pytest.mark.cornerman("bad.yaml")
def test_reads_the_result(cornerman):
    found = cornerman.result
    assert (found.status, found.passed, found.score) == ("completed", True, 0.0)
    assert found.columns[0]["score"]["n"] == 6 and found.comparisons == []

def test_without_a_marker(cornerman):
    assert not cornerman.evaluate("bad.yaml", min_score=0.5, judge=False).passed
    cornerman.evaluate("bad.yaml", min_score=0.5)

def test_bad_input(cornerman):
    cornerman.evaluate("good.yaml", min_score=1.5)

@pytest.mark.cornerman("good.yaml", min_scoer=1)
def test_unknown_option():
    pass

def test_no_marker_and_no_spec(cornerman):
    cornerman.result
"""


@pytest.fixture
def prompts(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    prefect_harness: None,
    cornerman_home: Path,
    sqlite_template: Path,
) -> pytest.Pytester:
    """A folder with an agent and two specs, in a home whose servers are there already."""
    from prefect.settings import PREFECT_API_URL

    cornerman_home.mkdir()
    shutil.copyfile(sqlite_template, cornerman_home / "cornerman.db")
    monkeypatch.setenv("PREFECT_API_URL", str(PREFECT_API_URL.value()))
    monkeypatch.setenv("EVALUATOR_MODULES", "parrot_of_plugin")
    pytester.makepyfile(parrot_of_plugin=AGENT)
    for says in ("good", "bad"):
        changed = SPEC | {"prompts": {"system": {"text": f"Say {says}"}}}
        (pytester.path / f"{says}.yaml").write_text(yaml.safe_dump(changed))
    return pytester


def test_a_marked_test_fails_where_the_bar_is_not_met(prompts: pytest.Pytester) -> None:
    prompts.makepyfile(TESTS)
    done = prompts.runpytest_subprocess("--strict-markers", "-p", "no:cacheprovider")
    done.assert_outcomes(passed=2, failed=5)
    said = done.stdout.str()
    for wanted in (
        "0.0000 is below min_score of 0.9",
        "min_score: 1.5 is over the limit of 1",
        "min_scoer: unknown option of an evaluation; known: checkpoints, models",
        "The test has no marker",
        "= Cornerman =",
        "cornerman report evaluate-",
    ):
        assert wanted in said, said
    assert "the body is not run" not in said
    # For people: the table, and no page of the plugin's own code.
    assert "pytest_plugin.py" not in said


def test_they_can_be_left_out_by_their_marker(prompts: pytest.Pytester) -> None:
    prompts.makepyfile(TESTS)
    done = prompts.runpytest_subprocess("-m", "not cornerman", "--collect-only", "-q")
    assert "test_without_a_marker" in done.stdout.str()
    assert "test_good_prompts" not in done.stdout.str()


def test_pytest_imports_nothing_heavy_for_it() -> None:
    heavy = "pydantic prefect sqlalchemy openai numpy"
    code = (
        f"import sys, cornerman.pytest_plugin; print(*(set({heavy.split()!r}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
