"""Checkpoints in the forms that other programs read."""

from __future__ import annotations

import json
from typing import Any

from cornerman.domain.checkpoints import Checkpoint

FORMATS = ("json", "yaml", "dspy")


def export_text(checkpoint: Checkpoint, form: str) -> str:
    """A checkpoint as the text of a file, with a line end.

    Args:
        form: `json` and `yaml` hold everything, `dspy` the prompts as a program's saved state.
    """
    if form == "yaml":
        import yaml

        return yaml.safe_dump(checkpoint.as_dict(), sort_keys=False, allow_unicode=True, width=100)
    content = dspy_state(checkpoint) if form == "dspy" else checkpoint.as_dict()
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def dspy_state(checkpoint: Checkpoint) -> dict[str, Any]:
    """The state that DSPy's `Module.load` gives to a module with a `Predict` named as each prompt.

    The prompt becomes the signature's instructions. No fields are listed, so the module keeps
    its own; and no versions, which DSPy would only compare with its own to warn.
    """
    predictors: dict[str, Any] = {
        name: {
            "traces": [],
            "train": [],
            "demos": [],
            "signature": {"instructions": prompt.text, "fields": []},
            "lm": None,
        }
        for name, prompt in checkpoint.prompts.items()
    }
    return {**predictors, "metadata": {"dependency_versions": {}}}
