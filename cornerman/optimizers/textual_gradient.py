"""Textual gradient: feedback of failed cases per prompt, one rewrite of each per epoch."""

from __future__ import annotations

from cornerman.domain.acceptance import accept_child
from cornerman.domain.candidates import Candidate
from cornerman.domain.cases import CaseResult
from cornerman.domain.optimizer import Lab, Round
from cornerman.domain.rewrites import refuse_rewrite
from cornerman.domain.statistics import scores_by_case
from cornerman.optimizers.feedback import parse_rewrite, rewrite_messages, trainable, with_text

_MOST_FEEDBACK = 8


class TextualGradient:
    """The simplest strategy: the best so far, its failures, one rewrite, compared on everything."""

    async def round(self, lab: Lab, epoch: int) -> Round:
        parent = lab.pool[-1]
        results = await lab.evaluate(parent, lab.train)
        prompts = parent.prompts
        for name in trainable(parent.prompts):
            feedback = _feedback(lab, results, f"gradient/{epoch}/{name}")
            answer = await lab.rewrite(name, rewrite_messages(parent, name, feedback))
            text = parse_rewrite(answer)
            refusal = refuse_rewrite(text, parent.prompts[name].text, lab.train)
            if refusal is None:
                prompts = with_text(prompts, name, text)
        if prompts == parent.prompts:
            return Round(None, accepted=False, reason="no rewrite could be used")
        child = lab.propose(parent=parent, prompts=prompts, origin="feedback of failed cases")
        return await self._judge(lab, parent, child)

    async def _judge(self, lab: Lab, parent: Candidate, child: Candidate) -> Round:
        before = await lab.evaluate(parent, lab.validation)
        after = await lab.evaluate(child, [*lab.train, *lab.validation])
        ids = {result.case.id for result in before}
        validated = [result for result in after if result.case.id in ids]
        verdict = accept_child(scores_by_case(before), scores_by_case(validated))
        await lab.decide(child, accepted=verdict.accepted, reason=verdict.reason)
        return Round(child, accepted=verdict.accepted, reason=verdict.reason)


def _feedback(lab: Lab, results: list[CaseResult], purpose: str) -> list[CaseResult]:
    """Failed cases, as many as a model reads well, drawn from the run's own stream."""
    failed = [result for result in results if result.score is not None and result.score < 1]
    if len(failed) > _MOST_FEEDBACK:
        failed = lab.rng(purpose).sample(failed, _MOST_FEEDBACK)
    return failed or results[:_MOST_FEEDBACK]
