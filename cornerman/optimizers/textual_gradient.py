"""Textual gradient: feedback of failed cases per prompt, one rewrite of each per epoch."""

from __future__ import annotations

from cornerman.domain.blame import shown_steps
from cornerman.domain.training.candidates import Candidate
from cornerman.domain.training.cases import CaseResult, scores_by_case
from cornerman.domain.training.optimizer import Lab, Round
from cornerman.domain.training.search import accept_child
from cornerman.optimizers.feedback import trainable
from cornerman.optimizers.proposals import Proposal, all_of, ask_rewrite, count_refusals

_MOST_FEEDBACK = 8


class TextualGradient:
    """The simplest strategy: the best so far, its failures, one rewrite, compared on everything."""

    async def round(self, lab: Lab, epoch: int) -> Round:
        parent = lab.pool[-1]
        results = await lab.evaluate(parent, lab.train)
        proposals = await self._propose(lab, parent, results, epoch)
        refused = count_refusals(proposals)
        prompts = parent.prompts
        for proposal in proposals:
            prompts = proposal.applied(prompts)
        if prompts == parent.prompts:
            return Round(None, accepted=False, reason=refused)
        child = lab.propose(parent=parent, prompts=prompts, origin="feedback of failed cases")
        outcome = await self._judge(lab, parent, child)
        reason = "; ".join(part for part in (outcome.reason, refused) if part)
        return Round(child, accepted=outcome.accepted, reason=reason)

    async def _propose(
        self, lab: Lab, parent: Candidate, results: list[CaseResult], epoch: int
    ) -> list[Proposal]:
        return await all_of(
            self._ask(lab, parent, name, _feedback(lab, results, f"gradient/{epoch}/{name}"))
            for name in trainable(parent.prompts)
        )

    @staticmethod
    async def _ask(lab: Lab, parent: Candidate, name: str, shown: list[CaseResult]) -> Proposal:
        steps = {result.case.id: shown_steps(await lab.steps(result)) for result in shown}
        return await ask_rewrite(lab, name, parent, name, shown, steps=steps)

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
