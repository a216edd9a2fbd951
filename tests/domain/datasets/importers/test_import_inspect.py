"""Cases of Inspect's logs, JSON and `.eval` with either compression."""

from __future__ import annotations

import builtins
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from cornerman.domain.datasets.importers import import_file
from cornerman.domain.errors import BadInputError

LONG = "A question so long that the log keeps it once. " * 5


def sample(name: Any, asked: Any, target: Any, epoch: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "id": name,
        "epoch": epoch,
        "input": asked,
        "target": target,
        "messages": [],
        "output": {"model": "mockllm/model", "choices": [], "completion": ""},
        "scores": {"match": {"value": "C", "answer": "2"}},
        "metadata": {"kind": "sum"},
        "attachments": {},
    } | more


SAMPLES = [
    sample("add", "1+1?", "2"),
    sample("add", "1+1?", "2", epoch=2),
    sample(
        7,
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
        ["Paris", "paris"],
    ),
    sample("long", "attachment://ab", "x", attachments={"ab": LONG}),
    sample("choice", "Which?", "B", choices=["a", "b"], scores=None),
    sample("open", "Write a poem.", "", error={"message": "ConnectionError"}),
    sample("none", [], "x"),
]
INPUTS = [
    {"input": "1+1?"},
    {"messages": [{"role": "user", "content": "Hi"}]},
    {"input": LONG},
    {"input": "Which?", "choices": ["a", "b"]},
    {"input": "Write a poem."},
]


def archive(path: Path, *, zstandard: bool = False, samples: list[Any] | None = None) -> Path:
    kind: Any = zipfile
    method = zipfile.ZIP_DEFLATED
    if zstandard:
        if sys.version_info < (3, 14):
            from backports.zstd import zipfile as kind
        method = kind.ZIP_ZSTANDARD
    with kind.ZipFile(path, "w", method) as file:
        file.writestr("_journal/start.json", "{}")
        for one in SAMPLES if samples is None else samples:
            file.writestr(f"samples/{one['id']}_epoch_{one['epoch']}.json", json.dumps(one))
        file.writestr("header.json", "{}")
    return path


def document(path: Path) -> Path:
    path.write_text(json.dumps({"version": 2, "status": "success", "eval": {}, "samples": SAMPLES}))
    return path


@pytest.mark.parametrize("form", ["json", "deflated", "zstandard"])
def test_samples_are_cases_in_each_form(tmp_path: Path, form: str) -> None:
    if form == "json":
        path = document(tmp_path / "log.json")
    else:
        path = archive(tmp_path / "log.eval", zstandard=form == "zstandard")
    made = import_file(path, "inspect")
    assert [case["inputs"] for case in made.cases] == INPUTS
    outputs = [case["expected_output"] for case in made.cases]
    assert outputs == ["2", ["Paris", "paris"], "x", "B", None]
    assert made.cases[0]["metadata"] == {"kind": "sum", "scores": {"match": "C"}}
    assert made.cases[-1]["metadata"]["error"] == "ConnectionError"
    assert dict(made.skipped) == {"the same sample in another epoch": 1, "no input": 1}
    assert any("no expected output in 1 case" in note for note in made.notes)
    assert any("several targets in 1 case" in note for note in made.notes)


def test_says_which_package_reads_the_newer_compression(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = archive(tmp_path / "log.eval", zstandard=True)
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith(("backports", "compression")):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(BadInputError, match="is compressed by Zstandard") as caught:
        import_file(path, "inspect")
    assert "pip install 'cornerman[inspect]'" in caught.value.hint


def test_refuses_what_is_no_log_and_unpacks_no_more_than_its_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, content in {"x.json": b'{"samples": []}', "x.eval": b"no zip"}.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(BadInputError, match=rf"{name} is no log of Inspect"):
            import_file(path, "inspect")
    bomb = archive(tmp_path / "bomb.eval", samples=[sample("b", "x" * 100_000, "y")])
    module = "cornerman.domain.datasets.importers.inspect_logs.MOST_UNPACKED_BYTES"
    monkeypatch.setattr(module, 50_000)
    with pytest.raises(BadInputError, match="unpacks to more than 50,000 bytes"):
        import_file(bomb, "inspect")
