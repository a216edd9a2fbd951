"""Two checkpoints' prompts compared, as the page shows them."""

from __future__ import annotations

from typing import Any

from cornerman.domain.textdiff import prompt_diff
from cornerman.domain.training.candidates import Checkpoint


def diff_checkpoints(before: Checkpoint, after: Checkpoint) -> dict[str, Any]:
    """Compare the prompts of two checkpoints word by word.

    Returns:
        `{before, after, prompts: [{name, changed, parts: [{op, text}]}]}`; a prompt that only
        one of them has is all insertion or all deletion. Changed prompts come first.
    """
    names = dict.fromkeys([*before.prompts, *after.prompts])
    compared = [_diff_prompt(name, before, after) for name in names]
    return {
        "before": _brief(before),
        "after": _brief(after),
        "prompts": sorted(compared, key=lambda prompt: not prompt["changed"]),
    }


def _diff_prompt(name: str, before: Checkpoint, after: Checkpoint) -> dict[str, Any]:
    old, new = (c.prompts[name].text if name in c.prompts else "" for c in (before, after))
    parts = prompt_diff(old, new)
    return {
        "name": name,
        "changed": old != new,
        "parts": [{"op": part.op, "text": part.text} for part in parts],
    }


def _brief(checkpoint: Checkpoint) -> dict[str, Any]:
    return {
        "id": checkpoint.id,
        "config_version": checkpoint.config_version,
        "validation_score": checkpoint.validation_score,
        "is_best": checkpoint.is_best,
        "created_at": checkpoint.created_at.isoformat(),
    }
