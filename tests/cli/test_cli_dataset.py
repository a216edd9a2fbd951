"""`cornerman dataset`, typed as a user would."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from cornerman.domain.datasets import DatasetOptions
from cornerman.domain.datasets.load import load_cases
from tests.cli.conftest import Printed, write_spec

Command = Callable[..., Printed]
HI = {"role": "user", "content": "Hi"}
HELLO = {"role": "assistant", "content": "Hello"}


def chats(folder: Path, count: int = 3) -> Path:
    path = folder / "chats.jsonl"
    rows = [{"messages": [{**HI, "content": f"Hi {n}"}, HELLO]} for n in range(count)]
    rows.append({"messages": [HI]})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_import_writes_cases_that_load_and_says_what_it_left(
    command: Command, tmp_path: Path
) -> None:
    cases = tmp_path / "cases.jsonl"
    printed = command("dataset", "import", chats(tmp_path), "--from", "openai", "-o", cases)
    assert printed.code == 0
    assert "3 cases in" in printed.out and "1 of 4 skipped: no output (first:" in printed.out
    found = load_cases(DatasetOptions.model_validate({"path": str(cases)}))
    assert [case.expected_output for case in found] == ["Hello"] * 3
    again = command("dataset", "import", chats(tmp_path), "--from", "openai", "-o", cases)
    assert again.code == 2 and "is there already" in again.err
    told = command(
        "dataset", "import", chats(tmp_path), "--from", "openai", "-o", cases, "--force", "--json"
    )
    assert told.json() == {
        "file": str(tmp_path / "chats.jsonl"),
        "from": "openai",
        "output": str(cases),
        "records": 4,
        "cases": 3,
        "skipped": {"no output": 1},
        "notes": ["1 of 4 skipped: no output (first: chats.jsonl, line 4)"],
        "prompts": [],
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone.jsonl", "--from", "openai", "-o", "x.jsonl"], "There is no file"),
        (["chats.jsonl", "--from", "excel", "-o", "x.jsonl"], "--from is 'excel'"),
        (["chats.jsonl", "--from", "openai", "-o", "x.csv"], "it must end in .jsonl"),
        (["chats.jsonl", "--from", "openai", "-o", "no/x.jsonl"], "there is no folder no"),
        (["chats.jsonl", "--from", "langfuse", "-o", "x.jsonl"], "makes no case: 4 of 4 skipped"),
    ],
)
def test_import_refuses_what_it_cannot_do_and_writes_nothing(
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    chats(tmp_path)
    monkeypatch.chdir(tmp_path)
    printed = command("dataset", "import", *arguments, "--json")
    assert printed.code == 2 and message in printed.json()["message"]
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["chats.jsonl"]


def test_check_looks_over_a_file_and_fails_where_it_has_faults(
    command: Command, tmp_path: Path
) -> None:
    path = tmp_path / "x.csv"
    path.write_text("text;label\n" + "".join(f"mail {n};{'ab'[n % 2]}\n" for n in range(400)))
    options = ("--inputs", "text", "--expected", "label")
    fine = command("dataset", "check", path, *options)
    assert fine.code == 0, fine.out
    assert "400 cases: train 200, validation 120, test 80." in fine.out
    assert "Nothing is wrong with them." in fine.out
    path.write_text(path.read_text() + "mail 0;a\n")
    faulty = command("dataset", "check", path, *options, "--gain", "0.03", "--json")
    assert faulty.code == 1
    document = faulty.json()
    assert document["cases"] == 401 and document["faults"] >= 1
    assert document["findings"][0]["kind"] in ("duplicate", "leak")
    assert document["labels"]["a"]["all"] == 201
    assert [row["gain"] for row in document["precision"]["gains"]] == [0.02, 0.03, 0.05, 0.1, 0.2]


def test_check_takes_a_spec_with_its_columns_and_split(command: Command, tmp_path: Path) -> None:
    chats(tmp_path, 30)
    split = {"train": 0.5, "validation": 0.5, "test": 0}
    path = write_spec(
        tmp_path,
        dataset={"path": "chats.jsonl", "columns": {"messages": "messages"}, "split": split},
        max_cases=30,
    )
    # The last line has no answer, which a run would refuse too.
    refused = command("dataset", "check", path, "--json")
    assert refused.code == 2 and "chats.jsonl, line 31" in refused.json()["message"]
    kept = (tmp_path / "chats.jsonl").read_text().splitlines()[:-1]
    (tmp_path / "chats.jsonl").write_text("\n".join(kept))
    told = command("dataset", "check", path, "--json").json()
    assert told["splits"] == {"train": 15, "validation": 15, "test": 0}
    assert told["findings"][-1]["kind"] in ("no_test_split", "unbalanced")
    as_file = command("dataset", "check", tmp_path / "chats.jsonl", "--messages", "messages")
    assert "30 cases" in as_file.out


def test_check_refuses_what_is_neither(command: Command, tmp_path: Path) -> None:
    def refusal(text: str, name: str = "x.yaml", *options: str) -> str:
        (tmp_path / name).write_text(text)
        printed = command("dataset", "check", tmp_path / name, *options, "--json")
        assert printed.code == 2
        return printed.json()["message"]

    assert "is no spec with a dataset" in refusal("rubric: 1")
    wrong = yaml.safe_dump({"dataset": {"path": "x.csv", "colums": {}}})
    assert "dataset.colums: unknown field; did you mean columns?" in refusal(wrong)
    assert "dataset: give cases or path" in refusal("dataset: {}")
    spec = yaml.safe_dump({"dataset": {"cases": [{"inputs": {"q": 1}}]}})
    assert "--inputs is for a dataset's file" in refusal(spec, "x.yaml", "--inputs", "q")
    assert "x.csv, line 2 has no column 'inputs'" in refusal("q,a\n1,2\n", "x.csv")
    gone = command("dataset", "check", tmp_path / "gone.csv", "--json")
    assert gone.code == 2 and gone.json()["message"].startswith("There is no file")
    assert refusal('{"inputs": {}}\n{oops', "x.jsonl").startswith("x.jsonl, line 2 is not valid")
