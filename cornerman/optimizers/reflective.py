"""Reflective: a pool of candidates, parents from the Pareto front, several proposals at once.

A round: draw a parent; show the optimizer's model different failures of it, one minibatch for
each proposal; try each rewrite on the cases it was made from; join the changes of those that
helped; validate that, and keep it when it beats the parent by more than noise. With
`optimizer.demos` a round may race demonstrations instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cornerman.domain.training.candidates import Candidate
from cornerman.domain.training.cases import Case, scores_by_case
from cornerman.domain.training.optimizer import Lab, Round
from cornerman.domain.training.racing import cannot_be_kept, is_hopeless, mean_of, rungs
from cornerman.domain.training.search import Acceptance, accept_child, draw_parent, pareto_weights
from cornerman.optimizers.feedback import Tried, draw_lessons, known_scores
from cornerman.optimizers.few_shot import FewShot, best_of_pool, in_race_order
from cornerman.optimizers.lessons import Lesson, assign_lessons, mended
from cornerman.optimizers.moves import Moves, calls_of
from cornerman.optimizers.proposals import (
    Proposal,
    all_of,
    ask_rewrite,
    count_refusals,
    merge_prompts,
)


@dataclass(frozen=True)
class _Child:
    """A rewrite and what it was made from."""

    candidate: Candidate
    lesson: Lesson


_Tested = tuple[Candidate, Acceptance]
_EQUAL = 1e-9


class Reflective:
    """The default strategy. What it remembers is rebuilt by a re-run from the start."""

    def __init__(self) -> None:
        self._tried: dict[tuple[str, str], list[Tried]] = {}
        self._times_shown: dict[str, int] = {}
        # The text first: its round costs a third of a race.
        self._moves = Moves(("text", "demonstrations"))
        self._made: list[Candidate] = []
        self._asked = 0
        self._few_shot = FewShot()

    async def round(self, lab: Lab, epoch: int) -> Round:
        """Rewrite a text or change demonstrations, whichever has brought more for its calls."""
        if not lab.options.most_demos:
            return await self._rewrite_round(lab, epoch)
        outcome = Round(None, accepted=False, reason="nothing to learn")
        for move in self._moves.in_order():
            best = await best_of_pool(lab)
            before = await self._validation(lab, best)
            self._asked, self._made = 0, []
            if move == "demonstrations":
                outcome = await self._few_shot.race(lab, epoch, best)
                self._made = self._few_shot.racers
            else:
                outcome = await self._rewrite_round(lab, epoch)
            gain = await self._validation(lab, await best_of_pool(lab)) - before
            calls = self._asked + calls_of(lab, self._made)
            self._moves.note(move, gain=gain, calls=calls)
            if outcome.candidate is not None:
                break  # a move that found nothing to try has cost nothing: the other one's turn
        return outcome

    async def _validation(self, lab: Lab, candidate: Candidate) -> float:
        return mean_of(await known_scores(lab, candidate, lab.validation))

    async def _rewrite_round(self, lab: Lab, epoch: int) -> Round:
        parent = await self._draw_parent(lab, epoch)
        batches = await draw_lessons(lab, parent, epoch, self._times_shown)
        if not batches:
            return Round(None, accepted=False, reason="no train case fails: nothing to learn")
        self._count_shown(batches)
        lessons = await assign_lessons(lab, parent, batches, epoch)
        proposals = await self._propose(lab, parent, lessons)
        self._asked = len(proposals)
        refused = count_refusals(proposals)
        children = self._children(lab, parent, proposals, lessons)
        if not children:
            return Round(None, accepted=False, reason=refused)
        self._made = [child.candidate for child in children]
        tried = await self._try(lab, parent, children)
        outcome = await self._choose(lab, parent, tried)
        reason = "; ".join(part for part in (outcome.reason, refused) if part)
        return Round(outcome.candidate, accepted=outcome.accepted, reason=reason)

    async def _draw_parent(self, lab: Lab, epoch: int) -> Candidate:
        scores = {member.id: await known_scores(lab, member, lab.validation) for member in lab.pool}
        drawn = draw_parent(pareto_weights(scores), lab.rng(f"parent/{epoch}"))
        return next(member for member in lab.pool if member.id == drawn)

    def _count_shown(self, batches: list[list[Case]]) -> None:
        for case in {case.id: case for batch in batches for case in batch}.values():
            self._times_shown[case.id] = self._times_shown.get(case.id, 0) + 1

    async def _propose(self, lab: Lab, parent: Candidate, lessons: list[Lesson]) -> list[Proposal]:
        shown = await all_of(lab.evaluate(parent, lesson.cases) for lesson in lessons)
        return await all_of(
            ask_rewrite(
                lab,
                f"{lesson.name}/{number}",
                parent,
                lesson.name,
                shown[number],
                self._turned_down(parent, lesson.name),
                lesson.steps,
            )
            for number, lesson in enumerate(lessons)
        )

    def _turned_down(self, parent: Candidate, name: str) -> list[Tried]:
        return self._tried.setdefault((parent.id, name), [])

    def _children(
        self,
        lab: Lab,
        parent: Candidate,
        proposals: list[Proposal],
        lessons: list[Lesson],
    ) -> list[_Child]:
        """Candidates of the usable proposals, in order; the same rewrite twice is one."""
        seen: set[tuple[str, str]] = set()
        children: list[_Child] = []
        for proposal, lesson in zip(proposals, lessons, strict=True):
            if proposal.text is None or (proposal.name, proposal.text) in seen:
                continue
            seen.add((proposal.name, proposal.text))
            candidate = lab.propose(
                parent=parent,
                prompts=proposal.applied(parent.prompts),
                origin=f"rewrite of {proposal.name} from {len(lesson.cases)} cases"
                + (f": {lesson.why}" if lesson.why else ""),
            )
            children.append(_Child(candidate, lesson))
        return children

    async def _try(self, lab: Lab, parent: Candidate, children: list[_Child]) -> list[_Tested]:
        """Each child against its parent on the child's own minibatch; best first."""
        results = await all_of(
            lab.evaluate(child.candidate, child.lesson.cases) for child in children
        )
        tried: list[_Tested] = []
        for child, found in zip(children, results, strict=True):
            before = await lab.evaluate(parent, child.lesson.cases)
            verdict = accept_child(scores_by_case(before), scores_by_case(found))
            if not verdict.accepted and verdict.gain > -_EQUAL:
                count = await mended(lab, child.lesson, before, found)
                if count:
                    verdict = _mending(verdict, count, child.lesson)
            tried.append((child.candidate, verdict))
        return sorted(tried, key=lambda pair: -pair[1].gain)

    async def _choose(self, lab: Lab, parent: Candidate, tried: list[_Tested]) -> Round:
        """Validate what helped, joined where it can be; decide on all.

        A validation costs as much as a round's tries, and each is a chance for luck to get in,
        so there is one a round.
        """
        for candidate, verdict in tried:
            if not verdict.accepted:
                await self._settle(lab, parent, candidate, verdict)
        singles = [candidate for candidate, verdict in tried if verdict.accepted]
        if not singles:
            best, verdict = tried[0]
            return Round(best, accepted=False, reason=verdict.reason)
        best, parts = _joined(lab, parent, singles)
        self._made.append(best)
        verdict = await self._validate(lab, parent, best)
        if verdict.accepted or best in singles:
            await self._settle(lab, parent, best, verdict)
        else:
            # Joined changes that do not hold up say nothing against each of them.
            await lab.decide(best, accepted=False, reason=verdict.reason)
        for single in singles:
            if single.id != best.id:
                said = "merged into" if single.id in parts else "it did not do as well as"
                await lab.decide(single, accepted=False, reason=f"{said} {best.id}")
        return Round(best, accepted=verdict.accepted, reason=verdict.reason)

    async def _validate(self, lab: Lab, parent: Candidate, child: Candidate) -> Acceptance:
        """Compare on validation alone: its cases were not chosen for the parent's failing them.

        One that is hopeless after half of them runs no more.
        """
        before = await known_scores(lab, parent, lab.validation)
        course, found = in_race_order(lab), dict[str, float]()
        for length in rungs(len(course), (len(course) + 1) // 2):
            await lab.evaluate(child, course[:length])
            found = await known_scores(lab, child, lab.validation)
            if length < len(course):
                shared = {name: before[name] for name in found if name in before}
                if cannot_be_kept(before, found) or is_hopeless(found, shared):
                    verdict = accept_child(shared, found)
                    said = f"hopeless after {length} of {len(course)} cases: {verdict.reason}"
                    return replace(verdict, accepted=False, reason=said)
        return accept_child(before, found)

    async def _settle(
        self, lab: Lab, parent: Candidate, child: Candidate, verdict: Acceptance
    ) -> None:
        """Keep the decision, and remember what was turned down."""
        await lab.decide(child, accepted=verdict.accepted, reason=verdict.reason)
        for name, prompt in child.prompts.items():
            if not verdict.accepted and prompt.text != parent.prompts[name].text:
                self._turned_down(parent, name).append(Tried(prompt.text, verdict.reason))


def _mending(verdict: Acceptance, count: int, lesson: Lesson) -> Acceptance:
    """Good enough to be joined with others, though it has gained nothing by itself yet."""
    reason = (
        f"no gain yet, but {count} of {len(lesson.cases)} cases fail no more where {lesson.name} "
        "was in use"
    )
    return Acceptance(True, reason, verdict.gain, verdict.standard_error)


def _joined(
    lab: Lab, parent: Candidate, singles: Sequence[Candidate]
) -> tuple[Candidate, set[str]]:
    """The first with the changes of all others that go together with it, and whose they are."""
    prompts, parts = singles[0].prompts, {singles[0].id}
    for single in singles[1:]:
        merged = merge_prompts(parent.prompts, prompts, single.prompts)
        if merged is not None and merged != prompts:
            prompts, parts = merged, parts | {single.id}
    if len(parts) == 1:
        return singles[0], parts
    origin = f"joined changes of {', '.join(sorted(parts))}"
    return lab.propose(parent=parent, prompts=prompts, origin=origin), parts
