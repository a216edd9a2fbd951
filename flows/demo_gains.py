"""What demonstrations and text each brought on the test cases, and what the former cost a call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cornerman.domain.money import pico_to_usd
from cornerman.domain.statistics import PairedInterval, paired_improvement
from cornerman.domain.training.candidates import Candidate, Prompts, demos_of

if TYPE_CHECKING:
    from cornerman.flows.training_run import TrainingRun

TEXT, DEMOS = "text", "demonstrations"


def parts_of(start: Candidate, best: Candidate) -> dict[str, Candidate]:
    """The best candidate's text without its demonstrations, and the other way round.

    Empty unless both were changed: what is changed alone is the whole change.
    """
    if not (changed_texts(start, best) and changed_demos(start, best)):
        return {}
    return {
        TEXT: _part(start, best, TEXT, _mixed(texts=best.prompts, demos=start.prompts)),
        DEMOS: _part(start, best, DEMOS, _mixed(texts=start.prompts, demos=best.prompts)),
    }


def changed_texts(start: Candidate, best: Candidate) -> bool:
    """Whether any prompt's text differs."""
    return any(prompt.text != start.prompts[name].text for name, prompt in best.prompts.items())


def changed_demos(start: Candidate, best: Candidate) -> bool:
    """Whether any prompt's demonstrations differ."""
    return any(prompt.demos != start.prompts[name].demos for name, prompt in best.prompts.items())


def _mixed(*, texts: Prompts, demos: Prompts) -> Prompts:
    return {
        name: prompt.model_copy(update={"demos": demos[name].demos})
        for name, prompt in texts.items()
    }


def _part(start: Candidate, best: Candidate, name: str, prompts: Prompts) -> Candidate:
    return Candidate(
        id=f"{best.id}-{name}",
        prompts=prompts,
        parent_id=start.id,
        epoch=best.epoch,
        origin=f"{name} of {best.id} alone, to tell what each brought",
    )


def demo_gains(
    run: TrainingRun, best: Candidate, scores: Mapping[str, Mapping[str, float]], means: Any
) -> dict[str, Any] | None:
    """The result's `demonstrations`; None where the best prompts have none.

    Args:
        scores: Test scores by candidate and case.
        means: Mean input tokens and cost of an agent's call by candidate, where it made any.
    """
    count = len(demos_of(best.prompts.values()))
    if not count:
        return None
    start, seed = run.start, run.context.spec.optimizer.seed

    def gain(candidate_id: str) -> dict[str, Any]:
        return _shown(paired_improvement(scores[start.id], scores.get(candidate_id, {}), seed))

    gains = {name: gain(part.id) for name, part in parts_of(start, best).items()}
    if gains:
        gains["both"] = gain(best.id)
    elif changed_demos(start, best):
        gains = {DEMOS: gain(best.id)}
    before, after = means.get(start.id), means.get(best.id)
    more = None if None in (before, after) else [a - b for a, b in zip(after, before, strict=True)]
    return {
        "count": count,
        "tokens_per_call": None if more is None else round(more[0], 1),
        "cost_usd_per_call": None if more is None else pico_to_usd(round(more[1])),
        "test_gain": gains,
    }


def _shown(change: PairedInterval) -> dict[str, Any]:
    return {"mean": change.mean, "low": change.low, "high": change.high, "n": change.n}


def gain_notes(facts: dict[str, Any] | None) -> list[str]:
    """The same in sentences, for the report and the terminal."""
    if facts is None:
        return []
    notes = list[str]()
    said = {name: _words(gain) for name, gain in facts["test_gain"].items()}
    if len(said) == 1:
        notes.append(f"Demonstrations moved the test score by {said[DEMOS]}.")
    elif said:
        notes.append(
            f"On the test cases demonstrations alone moved the score by {said[DEMOS]}, the text "
            f"alone by {said[TEXT]}, both by {said['both']}."
        )
    if facts["tokens_per_call"] is not None:
        notes.append(
            f"{facts['count']} demonstrations: {facts['tokens_per_call']:+.0f} tokens and "
            f"${facts['cost_usd_per_call']:.6f} a call."
        )
    return notes


def _words(gain: dict[str, Any]) -> str:
    if gain["mean"] is None:
        return "an unknown amount (no test case was run with both)"
    if gain["low"] is None:
        return f"{gain['mean']:+.2f} on {gain['n']} cases, too few for an interval"
    return f"{gain['mean']:+.2f} ({gain['low']:+.2f} to {gain['high']:+.2f}, {gain['n']} cases)"
