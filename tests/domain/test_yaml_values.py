"""YAML scalars by YAML 1.2, and values that hold themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from cornerman.cli.files import read_spec
from cornerman.domain.battles.workflows import parse_workflow
from cornerman.domain.errors import BadInputError
from cornerman.domain.yaml_values import YamlCycleError, read_yaml


@pytest.mark.parametrize("word", ["yes", "no", "on", "off", "Yes", "NO", "y", "n", "1:30", "1_000"])
def test_a_label_stays_text(word: str) -> None:
    assert read_yaml(f"expected_output: {word}") == {"expected_output": word}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("12", 12),
        ("-007", -7),
        ("0o17", 15),
        ("0x1F", 31),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".inf", float("inf")),
        ("2026-01-01", "2026-01-01"),
        ("'12'", "12"),
        ('{"a": [1, true, "yes"]}', {"a": [1, True, "yes"]}),
        ("a: &x {b: 1}\nc: {<<: *x, d: 2}", {"a": {"b": 1}, "c": {"b": 1, "d": 2}}),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: Any) -> None:
    assert read_yaml(text) == value


def test_an_alias_used_twice_is_no_cycle() -> None:
    assert read_yaml("a: &x [1]\nb: *x\nc: *x") == {"a": [1], "b": [1], "c": [1]}


@pytest.mark.parametrize("text", ["a: &x [*x]", "&top {inner: {again: *top}}"])
def test_a_value_inside_itself_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(YamlCycleError, match="stands inside the value it names"):
        read_yaml(text)


def test_files_of_people_are_read_so(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text("workflow_id: w\nmetadata: {answer: yes, at: 2026-01-01}\n")
    assert read_spec(str(path))["metadata"] == {"answer": "yes", "at": "2026-01-01"}
    path.write_text("dataset: &d {cases: [*d]}\n")
    with pytest.raises(BadInputError, match=r"dataset\.cases\.0"):
        read_spec(str(path))
    with pytest.raises(BadInputError, match="stands inside"):
        parse_workflow("id: &i [*i]")


def test_no_tag_makes_an_object() -> None:
    with pytest.raises(yaml.YAMLError):
        read_yaml("!!python/object/apply:os.getcwd []")
