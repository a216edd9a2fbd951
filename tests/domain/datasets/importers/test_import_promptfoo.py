"""Cases of promptfoo's tests: its config with all that it refers to, tables, scenarios."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from cornerman.domain.datasets.importers import import_file
from cornerman.domain.datasets.importers.made import Made
from cornerman.domain.errors import BadInputError


def config(folder: Path, **held: Any) -> Made:
    path = folder / "promptfooconfig.yaml"
    path.write_text(yaml.safe_dump(held, sort_keys=False))
    return import_file(path, "promptfoo")


def write(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def check(kind: str, value: Any = None) -> dict[str, Any]:
    return {"type": kind} | ({} if value is None else {"value": value})


def inputs(made: Made) -> list[Any]:
    return [case["inputs"] for case in made.cases]


def outputs(made: Made) -> list[Any]:
    return [case["expected_output"] for case in made.cases]


def test_each_assertion_says_what_it_can_of_the_expected_output(tmp_path: Path) -> None:
    cases: list[tuple[list[dict[str, Any]], Any]] = [
        ([check("contains", "b"), check("similar", "like"), check("equals", "same")], "same"),
        ([check("icontains", "b"), check("factuality", "{{ fact }}")], "water is wet"),
        ([check("not-contains", "b"), check("llm-rubric", "kind?")], None),
        ([check("equals", {"a": 1})], {"a": 1}),
        ([check("assert-set") | {"assert": [check("contains", "in a set")]}], "in a set"),
        ([check("or") | {"assert": [check("contains", "one of them")]}], None),
        ([{"$ref": "#/assertionTemplates/noise"}], "arrr"),
        ([check("contains", "file://answer.js")], None),
        ([check("contains", "file://answer.txt")], "from a file"),
    ]
    write(tmp_path, "answer.txt", "from a file\n")
    variables = {"q": "x", "fact": "water is wet"}
    made = config(
        tmp_path,
        prompts=["Say {{q}} to {{ who }}"],
        tests=[{"vars": variables, "assert": asserts} for asserts, _ in cases],
        assertionTemplates={"noise": check("icontains", "arrr")},
    )
    assert outputs(made) == [expected for _, expected in cases]
    assert inputs(made) == [variables] * len(cases)
    assert made.prompts == ["Say {q} to {who}"]
    assert made.cases[2]["metadata"]["assert"][1] == {"type": "llm-rubric", "value": "kind?"}
    assert "equals -> exact_match (2)" in made.notes[0]
    assert "checked by no evaluator: not-contains (1), or (1)" in made.notes[1]
    assert "no expected output in 3 cases" in made.notes[2]


def test_the_default_test_lies_under_each_and_lists_are_combined(tmp_path: Path) -> None:
    made = config(
        tmp_path,
        defaultTest={
            "vars": {"lang": "French", "n": 1},
            "assert": [check("factuality", "{{body}} in {{lang}}")],
        },
        tests=[
            {"vars": {"body": ["Hi", "Bye"], "lang": ["German", "Latin"]}},
            {"vars": {"body": ["a", "b"]}, "options": {"disableVarExpansion": True}},
            {"vars": {"body": "x"}, "options": {"disableDefaultAsserts": True}},
        ],
    )
    assert inputs(made)[:4] == [
        {"lang": lang, "n": 1, "body": body}
        for lang in ("German", "Latin")
        for body in ("Hi", "Bye")
    ]
    assert outputs(made)[:4] == ["Hi in German", "Bye in German", "Hi in Latin", "Bye in Latin"]
    assert inputs(made)[4]["body"] == ["a", "b"]
    assert outputs(made)[5] is None


def test_a_table_says_by_its_columns_how_it_is_checked(tmp_path: Path) -> None:
    write(
        tmp_path,
        "tests.csv",
        "q,__expected1,__expected2,__description,__metadata:kind,__metadata:tags[]\n"
        'a,Paris,"contains-any: x, y",first,geo,"a,b\\,c"\n'
        "b,similar(0.9):like this,,,,\n"
        "c,javascript: output.length > 1,,,,\n"
        "d,note: not a type,,,,\n"
        "e,,,,,\n"
        "f,grade: is kind,,,,\n",
    )
    for made in (
        config(tmp_path, tests="file://tests.csv"),
        import_file(tmp_path / "tests.csv", "promptfoo"),
    ):
        assert inputs(made) == [{"q": name} for name in "abcdef"]
        assert outputs(made) == ["Paris", "like this", None, "note: not a type", None, None]
        kept = made.cases[0]["metadata"]
        assert (kept["kind"], kept["tags"]) == ("geo", ["a", "b,c"])
        assert kept["description"] == "first"
        assert kept["assert"][1] == {"type": "contains-any", "value": ["x", "y"]}
        assert made.cases[1]["metadata"]["assert"][0]["threshold"] == 0.9


def test_scenarios_are_each_of_their_data_with_each_of_their_tests(tmp_path: Path) -> None:
    write(tmp_path, "more.yaml", yaml.safe_dump([{"vars": {"input": "Good morning"}}]))
    made = config(
        tmp_path,
        scenarios=[
            {
                "config": [
                    {"vars": {"lang": "es", "hello": "Hola"}},
                    {"vars": {"lang": "fr", "hello": "Salut"}},
                ],
                "tests": [
                    {"vars": {"input": "Hello"}, "assert": [check("similar", "{{hello}}")]},
                    "file://more.yaml",
                ],
            }
        ],
    )
    assert [(one["lang"], one["input"]) for one in inputs(made)] == [
        ("es", "Hello"),
        ("es", "Good morning"),
        ("fr", "Hello"),
        ("fr", "Good morning"),
    ]
    assert outputs(made) == ["Hola", None, "Salut", None]


def test_follows_files_of_tests_variables_and_prompts(tmp_path: Path) -> None:
    test = {"vars": {"q": "one"}, "assert": [check("equals", "1")]}
    write(tmp_path, "sub/a.yaml", yaml.safe_dump([test]))
    write(tmp_path, "sub/b.json", json.dumps([test]))
    write(tmp_path, "sub/c.jsonl", json.dumps(test) + "\n")
    write(tmp_path, "vars.yaml", "q: from vars\n")
    write(tmp_path, "text.txt", "a long text\n")
    write(tmp_path, "data.json", '{"n": 1}')
    write(tmp_path, "prompts.txt", "First {{q}}\n---\nSecond {{q}}\n")
    made = config(
        tmp_path,
        prompts=["file://prompts.txt", "file://prompt.py", {"raw": "Third {{q}}", "label": "x"}],
        tests=[
            "file://sub/*",
            {"vars": "file://vars.yaml"},
            {"vars": {"t": "file://text.txt", "d": "file://data.json", "p": "file://cat.png"}},
        ],
    )
    assert inputs(made) == [
        *([{"q": "one"}] * 3),
        {"q": "from vars"},
        {"t": "a long text", "d": {"n": 1}, "p": "file://cat.png"},
    ]
    assert made.prompts == ["First {q}", "Second {q}", "Third {q}"]
    assert any("1 reference to a file" in note and "file://cat.png" in note for note in made.notes)


def test_runs_and_fetches_nothing_and_counts_what_it_leaves(tmp_path: Path) -> None:
    write(tmp_path, "gen.py", "raise SystemExit('it was run')")
    made = config(
        tmp_path,
        tests=[
            "file://gen.py:create",
            {"path": "file://gen.py", "config": {}},
            "gen.js",
            "https://docs.google.com/spreadsheets/d/1",
            "huggingface://datasets/squad",
            "file://t.xlsx#2",
            {"vars": {"q": 1}},
            {"assert": [check("contains", "x")]},
        ],
    )
    assert inputs(made) == [{"q": 1}]
    assert dict(made.skipped) == {
        "tests made by code, which is not run": 3,
        "tests at an address (https://...), not fetched": 1,
        "tests at an address (huggingface://...), not fetched": 1,
        "tests in a spreadsheet; save it as CSV": 1,
        "no variables": 1,
    }


def test_files_that_refer_to_themselves_and_patterns_without_end_are_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "sub/a.yaml", yaml.safe_dump([{"vars": {"q": 1}}, "file://sub/a.yaml"]))
    made = config(tmp_path, tests="file://sub")
    assert inputs(made) == [{"q": 1}]
    assert dict(made.skipped) == {"a file of tests that refers to itself": 1}
    monkeypatch.setattr("cornerman.domain.datasets.importers.promptfoo_files._MOST_FILES", 1)
    write(tmp_path, "sub/b.yaml", "[]")
    with pytest.raises(BadInputError, match="matches more than 1 files"):
        config(tmp_path, tests="file://sub/*")


def test_results_of_an_evaluation_bring_the_config_that_it_ran(tmp_path: Path) -> None:
    held = {"results": {"results": []}, "config": {"tests": [{"vars": {"q": 1}}]}}
    path = tmp_path / "output.json"
    path.write_text(json.dumps(held))
    assert inputs(import_file(path, "promptfoo")) == [{"q": 1}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tests: file://gone.csv", "'gone.csv' in the config names no file"),
        ("providers: [echo]", "it has neither tests nor scenarios"),
        ("just text", "it holds no object and no list"),
        ("tests: [", "promptfooconfig.yaml is not YAML"),
        (
            yaml.safe_dump({"tests": [{"vars": {n: list(range(101)) for n in "ab"}}]}),
            "its variables have over 10,000 combinations",
        ),
    ],
)
def test_says_what_is_wrong_with_a_config(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path, "promptfooconfig.yaml", text)
    with pytest.raises(BadInputError) as caught:
        import_file(tmp_path / "promptfooconfig.yaml", "promptfoo")
    assert message in caught.value.message
