"""Few-shot: learns which train cases to show as demonstrations, and in which order.

It asks no optimizer's model. A round is a race: many sets on few validation cases, the better half
on more, until the last few have run all of them; then those that are level run train cases that
none of them shows. The first race draws sets anew, later ones change the best so far.
"""

from __future__ import annotations

from collections.abc import Sequence

from cornerman.domain.training.candidates import Candidate
from cornerman.domain.training.cases import Case, scores_by_case
from cornerman.domain.training.optimizer import Lab, Round
from cornerman.domain.training.racing import (
    FINALISTS,
    FIRST_LAP,
    FIRST_RACERS,
    RACERS,
    difference,
    mean_of,
    rungs,
    survivors,
)
from cornerman.domain.training.search import accept_child
from cornerman.optimizers.demos import (
    DemoDraws,
    Demos,
    demonstrations,
    demos_in,
    shown_prompt,
    with_demos,
)
from cornerman.optimizers.feedback import known_scores, unshown
from cornerman.optimizers.proposals import all_of

# Of a later race's sets, so many in a hundred are drawn anew.
_FRESH_SHARE = 0.25
_TRIES = 20


class FewShot:
    """The strategy `few_shot`. What it remembers is rebuilt by a re-run from the start."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, ...]] = set()
        self._races = 0
        self.racers: list[Candidate] = []

    async def round(self, lab: Lab, epoch: int) -> Round:
        """One race against the best candidate so far."""
        return await self.race(lab, epoch, await best_of_pool(lab))

    async def race(self, lab: Lab, epoch: int, parent: Candidate) -> Round:
        """Race sets of demonstrations for the parent's prompts, and keep the winner if it is
        better."""
        self.racers = []
        draws = DemoDraws(await demonstrations(lab, lab.pool), lab.options.most_demos)
        if not draws.pool:
            reason = (
                "no train case could be shown: none has an answer to show that is not among the "
                "validation cases"
            )
            return Round(None, accepted=False, reason=reason)
        self.racers = racers = self._racers(lab, epoch, parent, draws)
        if not racers:
            return Round(None, accepted=False, reason="every set of demonstrations was tried")
        winner = await self._run(lab, epoch, parent, racers)
        if winner is None:
            reason = f"none of {len(racers)} sets came near {parent.id}"
            for racer in racers:
                await lab.decide(racer, accepted=False, reason=reason)
            return Round(racers[0], accepted=False, reason=reason)
        before = await known_scores(lab, parent, lab.validation)
        verdict = accept_child(before, await known_scores(lab, winner, lab.validation))
        await lab.decide(winner, accepted=verdict.accepted, reason=verdict.reason)
        for racer in racers:
            if racer.id != winner.id:
                said = f"it did not do as well as {winner.id} in a race of {len(racers)} sets"
                await lab.decide(racer, accepted=False, reason=said)
        return Round(winner, accepted=verdict.accepted, reason=verdict.reason)

    # -- who races

    def _racers(self, lab: Lab, epoch: int, parent: Candidate, draws: DemoDraws) -> list[Candidate]:
        self._races += 1
        count = FIRST_RACERS if self._races == 1 else RACERS
        rng, held = lab.rng(f"demos/{epoch}"), demos_in(parent)
        racers = list[Candidate]()
        for number in range(count):
            fresh = not held or rng.random() < _FRESH_SHARE
            for _ in range(_TRIES):
                size = draws.sizes[number % len(draws.sizes)]
                made = draws.draw(size, rng) if fresh else draws.change(held, rng)
                if self._is_new(parent, made):
                    racers.append(self._candidate(lab, parent, made, fresh=fresh))
                    break
        return racers

    def _is_new(self, parent: Candidate, demos: Demos) -> bool:
        name = shown_prompt(parent.prompts)
        key = (parent.prompts[name].text, *(demo.key for demo in demos))
        if demos == demos_in(parent) or key in self._seen:
            return False
        self._seen.add(key)
        return True

    def _candidate(self, lab: Lab, parent: Candidate, demos: Demos, *, fresh: bool) -> Candidate:
        name = shown_prompt(parent.prompts)
        said = "drawn" if fresh else f"changed from {parent.id}"
        return lab.propose(
            parent=parent,
            prompts=with_demos(parent.prompts, name, demos),
            origin=f"{len(demos)} demonstrations in {name}, {said}",
        )

    # -- the race

    async def _run(
        self, lab: Lab, epoch: int, parent: Candidate, racers: Sequence[Candidate]
    ) -> Candidate | None:
        """The winner, which has run all validation cases; None when nobody came that far."""
        course = in_race_order(lab)
        field = {racer.id: racer for racer in racers}
        laps = rungs(len(course), FIRST_LAP)
        for number, length in enumerate(laps):
            cases = course[:length]
            await all_of(lab.evaluate(racer, cases) for racer in field.values())
            scores = {name: scores_on(lab, racer, cases) for name, racer in field.items()}
            # The parent has run all of them, and bars whoever is surely worse.
            scores[parent.id] = scores_on(lab, parent, cases)
            is_last = number == len(laps) - 1
            most = FINALISTS if is_last else max(FINALISTS, (len(field) + 1) // 2)
            kept = [name for name in survivors(scores, most + 1) if name in field]
            field = {name: field[name] for name in kept[:most]}
            if not field:
                return None
        finalists = list(field.values())
        return await self._final(lab, epoch, finalists)

    async def _final(self, lab: Lab, epoch: int, finalists: Sequence[Candidate]) -> Candidate:
        """The best of the finalists; train cases that none shows decide between near ones."""
        if len(finalists) == 1:
            return finalists[0]
        first, second = finalists[:2]
        mine = await known_scores(lab, first, lab.validation)
        theirs = await known_scores(lab, second, lab.validation)
        ahead, error, _ = difference(mine, theirs)
        if ahead <= error:
            more = unshown(second, unshown(first, lab.train))
            lab.rng(f"final/{epoch}").shuffle(more)
            more = more[: len(lab.validation)]
            await all_of(lab.evaluate(one, more) for one in (first, second))
            mine |= await known_scores(lab, first, more)
            theirs |= await known_scores(lab, second, more)
            ahead = mean_of(mine) - mean_of(theirs)
        if abs(ahead) <= 1e-9:
            return min(first, second, key=lambda one: len(demos_in(one)))
        return first if ahead > 0 else second


async def best_of_pool(lab: Lab) -> Candidate:
    """The accepted candidate with the best mean on validation; the earliest where level."""
    means = [mean_of(await known_scores(lab, one, lab.validation)) for one in lab.pool]
    return lab.pool[means.index(max(means))]


def in_race_order(lab: Lab) -> list[Case]:
    """The validation cases in the order of every race of the run, so that results are shared."""
    cases = list(lab.validation)
    lab.rng("race").shuffle(cases)
    return cases


def scores_on(lab: Lab, candidate: Candidate, cases: Sequence[Case]) -> dict[str, float]:
    """What is known of a candidate on these cases; no work is done."""
    ids = {case.id for case in cases}
    results = [r for name, r in lab.results(candidate.id).items() if name in ids]
    return scores_by_case(results)
