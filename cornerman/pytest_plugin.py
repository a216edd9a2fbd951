"""Evaluations as tests of pytest: a marker, and a fixture, that do what `cornerman evaluate` does.

    @pytest.mark.cornerman("support.yaml", split="test", min_score=0.8, not_worse_than="best")
    def test_support_is_no_worse(cornerman):
        assert cornerman.result.cost_usd < 0.05

A marked test fails with the table where the bar is not met, before its body is run. Each evaluation
is a process of its own, so that neither pytest's loops and patches nor the run's own meet. Pytest
loads this module in every session, so its top level imports nothing of Cornerman.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest

MARKER = "cornerman"
_PROPERTY = "cornerman_evaluation"
_RESULT = pytest.StashKey["Cornerman"]()
# By option: the command's, and whether it may be given again.
_OPTIONS: dict[str, tuple[str, bool]] = {
    "checkpoints": ("--checkpoint", True),
    "models": ("--model", True),
    "split": ("--split", False),
    "min_score": ("--min-score", False),
    "not_worse_than": ("--not-worse-than", False),
    "run_id": ("--run-id", False),
}


@dataclass(frozen=True)
class Evaluation:
    """One evaluation that ended.

    Args:
        result: What `cornerman evaluate --json` printed.
    """

    result: Mapping[str, Any]

    @property
    def run_id(self) -> str:
        return str(self.result["run_id"])

    @property
    def status(self) -> str:
        """`completed`, or `stopped` by a budget, the kill-switch or a time limit."""
        return str(self.result["status"])

    @property
    def passed(self) -> bool:
        """Whether every column meets the bar; True where none was set and the run completed."""
        return bool(self.result["passed"])

    @property
    def columns(self) -> Sequence[Mapping[str, Any]]:
        """`{model, checkpoint, score: {value, low, high, n}, cost_usd, …}` for each."""
        return self.result["columns"]

    @property
    def comparisons(self) -> Sequence[Mapping[str, Any]]:
        """Paired intervals of each two columns: `{before, after, mean, low, high, n, …}`."""
        return self.result["comparisons"]

    @property
    def score(self) -> float | None:
        """The first column's mean, 0 to 1; None when no case has a score."""
        return self.columns[0]["score"]["value"]

    @property
    def cost_usd(self) -> float:
        return float(self.result["cost_usd"])

    @property
    def text(self) -> str:
        """The table and where the bar is not met, as a failed test shows it."""
        stopped = f", stopped by {self.result['stopped_by']}" if self.result["stopped_by"] else ""
        lines = [f"Evaluation {self.run_id}: {self.status}{stopped}, ${self.cost_usd:.6f}"]
        lines += [f"  {_line(column)}" for column in self.columns]
        lines += [str(text) for text in self.result["failures"]]
        lines.append(f"Its cases: cornerman report {self.run_id}")
        return "\n".join(lines)


def _line(column: Mapping[str, Any]) -> str:
    score = column["score"]
    if score["value"] is None:
        return f"{column['name']}: no case has a score"
    return (
        f"{column['name']}: {score['value']:.3f} "
        f"({score['low']:.3f} to {score['high']:.3f}, n={score['n']})"
    )


class Cornerman:
    """What the fixture gives: evaluations on behalf of one test."""

    def __init__(self, item: pytest.Item) -> None:
        self._item = item
        self._result: Evaluation | None = None

    @property
    def result(self) -> Evaluation:
        """The evaluation that the test's marker asks for; it is run once."""
        if self._result is None:
            marker = self._item.get_closest_marker(MARKER)
            if marker is None:
                _fail("The test has no marker: @pytest.mark.cornerman(SPEC, ...)")
            self._result = self.evaluate(*marker.args, **marker.kwargs)
        return self._result

    def evaluate(
        self, spec: str | os.PathLike[str], /, *, judge: bool = True, **options: Any
    ) -> Evaluation:
        """Evaluate a spec; the test fails where the bar is not met.

        Args:
            spec: A file as `cornerman train` takes it, beside the test's file or in the folder
                that pytest was started in.
            judge: Fail the test; False leaves that to it.
            options: `checkpoints`, `models`, `split`, `min_score`, `not_worse_than`, `run_id`, as
                the command's options.
        """
        __tracebackhide__ = True
        found = self._run([*_arguments(options), "--json", str(self._path(spec))])
        if judge and not found.passed:
            _fail(found.text)
        return found

    def _path(self, spec: str | os.PathLike[str]) -> Path:
        beside = self._item.path.parent / spec
        return beside if beside.exists() else self._item.config.invocation_params.dir / spec

    def _run(self, arguments: Sequence[str]) -> Evaluation:
        __tracebackhide__ = True
        # -P: a module of the user's own must not stand in for one of Python's.
        done = subprocess.run(
            [sys.executable, "-P", "-m", "cornerman.cli", "evaluate", *arguments],
            cwd=self._item.config.invocation_params.dir,
            capture_output=True,
            text=True,
            check=False,
        )
        sys.stderr.write(done.stderr)
        try:
            document: dict[str, Any] = json.loads(done.stdout)
        except ValueError:
            _fail(f"cornerman evaluate exited {done.returncode}:\n{done.stderr[-2000:]}")
        if "columns" not in document:
            hint = document.get("hint")
            _fail(str(document.get("message")) + (f"\n{hint}" if hint else ""))
        found = Evaluation(document)
        self._item.user_properties.append((_PROPERTY, found.text))
        return found


def _fail(text: str) -> NoReturn:
    __tracebackhide__ = True
    pytest.fail(text, pytrace=False)


def _arguments(options: Mapping[str, Any]) -> list[str]:
    __tracebackhide__ = True
    arguments = list[str]()
    for name, value in options.items():
        if name not in _OPTIONS:
            _fail(f"{name}: unknown option of an evaluation; known: {', '.join(_OPTIONS)}")
        option, again = _OPTIONS[name]
        if value is None:
            continue
        listed: Sequence[Any] = value if again and not isinstance(value, str) else [value]
        arguments += [f"{option}={one}" for one in listed]
    return arguments


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, to --strict-markers too."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(spec, *, checkpoints, models, split, min_score, not_worse_than): evaluate the "
        "prompts of a spec with Cornerman; the test fails where the bar is not met.",
    )


def _of(item: pytest.Item) -> Cornerman:
    return item.stash.setdefault(_RESULT, Cornerman(item))


@pytest.fixture
def cornerman(request: pytest.FixtureRequest) -> Cornerman:
    """Evaluate prompts with Cornerman: `cornerman.evaluate(SPEC, ...)`, `cornerman.result`."""
    return _of(request.node)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Judge a marked test before its body; in the call, so that it fails and does not error."""
    __tracebackhide__ = True
    if item.get_closest_marker(MARKER) is not None:
        _ = _of(item).result
    return (yield)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say what was evaluated and what it cost, for passed tests too."""
    reports = [
        report for kind in ("passed", "failed") for report in terminalreporter.getreports(kind)
    ]
    told = [
        (report.nodeid, text)
        for report in reports
        if report.when == "call"
        for name, text in report.user_properties
        if name == _PROPERTY
    ]
    if told:
        terminalreporter.section("Cornerman")
    for nodeid, text in told:
        terminalreporter.write_line(nodeid)
        for line in text.splitlines():
            terminalreporter.write_line(f"  {line}")
