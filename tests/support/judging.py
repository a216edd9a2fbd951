"""Labelled cases, and a model that judges them by what their text says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tests.support.llm_standin import Reply
from tests.support.training import climb, is_judge


def labelled(count: int, wrong: int = 0) -> list[dict[str, Any]]:
    """Cases of which `judge` gets all but the first `wrong` as people had them."""
    return [
        {
            "id": f"l{n}",
            "inputs": {"question": f"Question {n}"},
            # What a judge says of it is in its text; what people say is the label.
            "output": f"SAYS {(n % 2) ^ (n < wrong)} in case {n}",
            "label": n % 2,
        }
        for n in range(count)
    ]


def write_labels(folder: Path, rows: list[dict[str, Any]], name: str = "labels.jsonl") -> str:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def judge(request: dict[str, Any], n: int) -> Reply:
    """Gives what the judged text says; all that is no judge's call climbs."""
    said = str(request["messages"][-1]["content"])
    found = re.search(r"SAYS (\d(?:\.\d+)?)", said)
    if not is_judge(request) or found is None:
        return climb(request, n)
    return Reply(text=json.dumps({"reason": "It says so.", "score": float(found[1])}))


def asked_of_labels(requests: list[Any]) -> int:
    """How often the model was asked about a labelled case."""
    return sum("SAYS" in str(one.body["messages"]) for one in requests)
