"""Whatever is in a foreign file, an import makes cases that load, or says what is wrong."""

from __future__ import annotations

import contextlib
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cornerman.domain.datasets import DatasetOptions
from cornerman.domain.datasets.importers import import_file
from cornerman.domain.datasets.load import load_cases
from cornerman.domain.errors import BadInputError

# Names that the tools use, so that what is made up comes near to what they write.
NAMES = [
    "messages",
    "input",
    "output",
    "role",
    "content",
    "parts",
    "type",
    "text",
    "tool_calls",
    "function",
    "name",
    "arguments",
    "id",
    "traceId",
    "observations",
    "data",
    "scores",
    "expectedOutput",
    "datasetId",
    "metadata",
    "resourceSpans",
    "scopeSpans",
    "spans",
    "attributes",
    "key",
    "value",
    "stringValue",
    "arrayValue",
    "kvlistValue",
    "values",
    "events",
    "context",
    "body",
    "resourceLogs",
    "scopeLogs",
    "logRecords",
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.prompt.0.content",
    "gen_ai.completion.0.content",
    "tests",
    "vars",
    "assert",
    "defaultTest",
    "scenarios",
    "config",
    "prompts",
    "options",
    "path",
    "samples",
    "eval",
    "epoch",
    "target",
    "choices",
    "attachments",
    "system",
    "choice",
    "preferred_output",
    "tools",
    "weight",
]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.floats(allow_nan=True),
    st.text(max_size=5),
    st.sampled_from(
        [
            "user",
            "assistant",
            "tool",
            "GENERATION",
            "[]",
            "{}",
            '[{"role": "user"}]',
            "gen_ai.choice",
            "gen_ai.user.message",
            "text",
            "contains",
            "{{q}}",
            *NAMES,
        ]
    ),
)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    ),
    max_leaves=25,
)
ROOTS = {
    "openai": ("x.jsonl", lambda held: {"messages": held}),
    "langfuse": ("x.json", lambda held: [held, {"id": "t", "input": held, "output": held}]),
    "otel": (
        "x.jsonl",
        lambda held: {
            "resourceSpans": [
                {
                    "scopeSpans": [
                        {
                            "spans": [
                                {
                                    "name": "chat",
                                    "attributes": [
                                        {
                                            "key": "gen_ai.input.messages",
                                            "value": {"stringValue": json.dumps(held)},
                                        },
                                        {"key": "gen_ai.output.messages", "value": held},
                                    ],
                                    "events": held,
                                }
                            ]
                        }
                    ]
                }
            ]
        },
    ),
    "promptfoo": ("x.yaml", lambda held: {"tests": held, "scenarios": held, "prompts": held}),
    "inspect": (
        "x.json",
        lambda held: {
            "eval": {},
            "samples": [
                held,
                {"id": held, "input": held, "target": held, "scores": held, "attachments": held},
            ],
        },
    ),
}


@pytest.mark.parametrize("source", list(ROOTS))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(held=DOCUMENTS, whole=st.booleans())
def test_any_document_is_taken_or_refused_in_words(
    source: str, held: Any, whole: bool, tmp_path: Path
) -> None:
    name, root = ROOTS[source]
    path = tmp_path / name
    document = held if whole else root(held)
    path.write_text(yaml.safe_dump(document) if name.endswith("yaml") else json.dumps(document))
    with contextlib.suppress(BadInputError):
        made = import_file(path, source)
        assert made.records >= len(made.cases) + sum(made.skipped.values()) > 0
        cases = tmp_path / "cases.jsonl"
        cases.write_text("".join(json.dumps(case) + "\n" for case in made.cases))
        loaded = load_cases(DatasetOptions.model_validate({"path": str(cases)}))
        assert [case.inputs for case in loaded] == [case["inputs"] for case in made.cases]


def test_an_archive_with_damaged_members_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "x.eval"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("samples/a.json", json.dumps({"input": "x" * 500}))
    content = bytearray(path.read_bytes())
    content[45:55] = b"\xff" * 10
    path.write_bytes(content)
    with pytest.raises(BadInputError, match=r"x\.eval"):
        import_file(path, "inspect")
