"""Tries one given tactic: a single rewrite that includes it, kept only if it is surely better.

The tactic stands in the cases' metadata, as `cornerman.flows.promote` puts it there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cornerman.domain.battles.tactics import carries_tactic
from cornerman.domain.errors import LLMError
from cornerman.domain.statistics import paired_improvement, scores_by_case
from cornerman.domain.training.candidates import Candidate, Prompts
from cornerman.domain.training.optimizer import Lab, Round
from cornerman.domain.training.search import refuse_rewrite
from cornerman.optimizers.feedback import parse_rewrite

_INSTRUCTION = """You edit the prompt of an LLM agent. You are shown the prompt and a tactic that \
won a conversation. Write the tactic into the prompt, in the prompt's own style, as a general rule \
that fits every conversation. Keep everything else, keep every {placeholder}, and stay brief. \
Answer with the whole new prompt between <rewrite> and </rewrite>, and nothing else."""


class IncludeTactic:
    """One round: the incumbent against the same prompt with the tactic, paired by case."""

    async def round(self, lab: Lab, epoch: int) -> Round:
        wanted: Mapping[str, Any] = lab.validation[0].metadata
        parent = lab.pool[0]
        text = await _include(lab, parent.prompts[wanted["prompt"]].text, str(wanted["tactic"]))
        child = lab.propose(
            parent=parent,
            prompts=_with_tactic(parent.prompts, wanted, text),
            origin=f"tactic of breakthrough {wanted['breakthrough_id']}",
        )
        return await _judge(lab, parent, child)


async def _include(lab: Lab, old: str, tactic: str) -> str:
    """The prompt with the tactic; in the scout's own words when no rewrite carries it."""
    plain = f"{old.rstrip()}\n{tactic}"
    user = f"<prompt>\n{old}\n</prompt>\n\n<tactic>\n{tactic}\n</tactic>"
    messages = [
        {"role": "system", "content": _INSTRUCTION},
        {"role": "user", "content": user},
    ]
    try:
        text = parse_rewrite(await lab.rewrite("tactic", messages))
    except LLMError:
        return plain
    refused = refuse_rewrite(text, old, ()) is not None or not carries_tactic(text, tactic)
    return plain if refused else text


def _with_tactic(prompts: Prompts, wanted: Mapping[str, Any], text: str) -> Prompts:
    old = prompts[wanted["prompt"]]
    kept = [*old.metadata.get("tactics", []), wanted["breakthrough_id"]]
    new = old.model_copy(update={"text": text, "metadata": old.metadata | {"tactics": kept}})
    return prompts | {wanted["prompt"]: new}


async def _judge(lab: Lab, parent: Candidate, child: Candidate) -> Round:
    before = scores_by_case(await lab.evaluate(parent, lab.validation))
    after = scores_by_case(await lab.evaluate(child, lab.validation))
    change = paired_improvement(before, after, lab.options.seed)
    if change.mean is None or change.low is None or change.high is None:
        reason = "no persona was scored with both prompts"
    else:
        sure = "better" if change.better else "not surely better"
        reason = (
            f"{sure} by {100 * change.mean:+.1f} points on {change.n} held-out personas "
            f"(95%: {100 * change.low:+.1f} to {100 * change.high:+.1f})"
        )
    await lab.decide(child, accepted=change.better, reason=reason)
    return Round(child, accepted=change.better, reason=reason)
