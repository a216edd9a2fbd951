"""Examples of docs/ that are files: each is what the product reads."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from cornerman.domain.judges.labels import read_labels
from cornerman.domain.training.parse import parse_train_spec

DOCS = Path(__file__).resolve().parent.parent / "docs"


def block(page: str, kind: str) -> str:
    """The page's first block of a kind."""
    found = re.search(rf"```{kind}\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    assert found is not None
    return found[1]


def test_the_labelled_cases_and_the_spec_of_the_page_on_judges(tmp_path: Path) -> None:
    file = tmp_path / "labelled.jsonl"
    file.write_text(block("judges.md", "jsonl"))
    found = read_labels(file)
    assert [(one.case.id, one.label) for one in found.cases] == [("t-1", 1), ("t-2", 0)]
    spec = parse_train_spec(yaml.safe_load(block("judges.md", "yaml")), source="cli")
    assert spec.judge is not None and spec.judge.calibration == "labelled.jsonl"


def test_every_page_is_reached_from_the_readme() -> None:
    readme = (DOCS.parent / "README.md").read_text()
    linked = "".join(page.read_text() for page in DOCS.glob("*.md"))
    pages = [page.name for page in DOCS.glob("*.md")]
    lost = [name for name in pages if f"docs/{name}" not in readme and f"({name})" not in linked]
    assert lost == []
