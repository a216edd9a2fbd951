"""Reflective: a pool of candidates, parents from the Pareto front, several proposals at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from cornerman.domain.acceptance import accept_child
from cornerman.domain.candidates import Candidate
from cornerman.domain.cases import Case, CaseResult
from cornerman.domain.errors import LLMError
from cornerman.domain.optimizer import Lab, Round
from cornerman.domain.pareto import draw_parent, pareto_weights
from cornerman.domain.rewrites import refuse_rewrite
from cornerman.domain.statistics import scores_by_case
from cornerman.optimizers.feedback import parse_rewrite, rewrite_messages, trainable, with_text


class Reflective:
    """The default strategy."""

    async def round(self, lab: Lab, epoch: int) -> Round:
        parent = self._draw_parent(lab, epoch)
        batch = self._draw_batch(lab, parent, epoch)
        shown = await lab.evaluate(parent, batch)
        name = trainable(parent.prompts)[(epoch - 2) % len(trainable(parent.prompts))]
        asked = (
            self._propose(lab, parent, name, shown, number)
            for number in range(lab.options.proposals)
        )
        texts = [text for text in await asyncio.gather(*asked) if text is not None]
        children = [
            lab.propose(
                parent=parent,
                prompts=with_text(parent.prompts, name, text),
                origin=f"reflection on {len(shown)} cases",
            )
            for text in dict.fromkeys(texts)
        ]
        if not children:
            return Round(None, accepted=False, reason="no rewrite could be used")
        return await self._choose(lab, parent, children, batch, shown)

    def _draw_parent(self, lab: Lab, epoch: int) -> Candidate:
        scores = {
            member.id: {
                case.id: result.score
                for case in lab.validation
                if (result := lab.results(member.id).get(case.id)) and result.score is not None
            }
            for member in lab.pool
        }
        drawn = draw_parent(pareto_weights(scores), lab.rng(f"parent/{epoch}"))
        return next(member for member in lab.pool if member.id == drawn)

    def _draw_batch(self, lab: Lab, parent: Candidate, epoch: int) -> list[Case]:
        """Mostly cases that the parent is known to fail: they have something to teach."""
        known = lab.results(parent.id)
        rng = lab.rng(f"batch/{epoch}")
        failed = [c for c in lab.train if c.id in known and (known[c.id].score or 0) < 1]
        others = [c for c in lab.train if c not in failed]
        size = min(lab.options.minibatch_size, len(lab.train))
        teaching = min(len(failed), -(-2 * size // 3))
        chosen = rng.sample(failed, teaching)
        chosen += rng.sample(others, min(size - teaching, len(others)))
        return sorted(chosen, key=lambda case: case.index)

    async def _propose(
        self, lab: Lab, parent: Candidate, name: str, shown: Sequence[CaseResult], number: int
    ) -> str | None:
        try:
            answer = await lab.rewrite(f"{name}/{number}", rewrite_messages(parent, name, shown))
        except LLMError:
            return None
        text = parse_rewrite(answer)
        refusal = refuse_rewrite(text, parent.prompts[name].text, lab.train)
        return text if refusal is None else None

    async def _choose(
        self,
        lab: Lab,
        parent: Candidate,
        children: list[Candidate],
        batch: list[Case],
        shown: Sequence[CaseResult],
    ) -> Round:
        before = scores_by_case(shown)
        tried = await asyncio.gather(*(lab.evaluate(child, batch) for child in children))
        verdicts = [accept_child(before, scores_by_case(results)) for results in tried]
        ranked = sorted(zip(children, verdicts, strict=True), key=lambda pair: -pair[1].gain)
        winner, verdict = ranked[0]
        for child, its in ranked[1:]:
            await lab.decide(child, accepted=False, reason=f"{its.reason}; {winner.id} did better")
        if verdict.accepted:
            await lab.evaluate(winner, lab.validation)
        await lab.decide(winner, accepted=verdict.accepted, reason=verdict.reason)
        return Round(winner, accepted=verdict.accepted, reason=verdict.reason)
