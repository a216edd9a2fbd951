"""A judge before people's labels: for its own sake, and before a training run relies on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cornerman.clients.llm import LLM
from cornerman.domain.battles.conversation import clip
from cornerman.domain.battles.workflows import Workflow
from cornerman.domain.errors import JudgeRefusedError
from cornerman.domain.judges import JudgeOptions, judging_evaluator
from cornerman.domain.judges.agreement import judge_agreement, nearest_level
from cornerman.domain.judges.labels import Labels, read_labels
from cornerman.domain.runs import NewEvent
from cornerman.domain.training import TrainSpec
from cornerman.flows.engine import Engine
from cornerman.storage import events, runs, steps
from cornerman.tasks.battle_agent import SCORE
from cornerman.tasks.judge_labels import (
    JudgedCase,
    JudgePanel,
    LabelJudge,
    evaluator_judge,
    referee_judge,
)
from cornerman.tasks.training_context import TrainingContext

# As a training run bears: a judge that answers less often is not measured by what it answers.
MOST_UNSCORED = 0.2
_STEP = "judge"
_SHOWN = 20
_SHOWN_CHARS = 500


@dataclass(frozen=True)
class JudgeGate:
    """The judge that a training run must be able to rely on, and how far.

    Args:
        file: As the request names it.
    """

    judge: LabelJudge
    labels: Labels
    min_kappa: float
    file: str


def labels_for(spec: TrainSpec) -> Labels | None:
    """The labelled cases of a spec's `judge`; None where it has none.

    Raises:
        BadInputError: They cannot be used.
        NotFoundError: There is no such file.
    """
    options = spec.judge
    if options is None:
        return None
    return read_labels(
        options.calibration,
        referee=is_referee(spec, options),
        scale=options.scale,
        columns=options.columns,
        where="judge.calibration",
    )


def is_referee(spec: TrainSpec, options: JudgeOptions) -> bool:
    """Whether the judge is the referee of battles that are the run's cases."""
    return judging_evaluator(options, spec.evaluators).entrypoint == SCORE


def make_gate(engine: Engine, spec: TrainSpec, llm: LLM, cases: Sequence[Any]) -> JudgeGate | None:
    """The gate of a training run; None where its spec asks for none.

    Args:
        cases: The run's cases; battles as cases bring their workflow.

    Raises:
        BadInputError: Its labels or its judge cannot be used.
    """
    labels, options = labels_for(spec), spec.judge
    if labels is None or options is None:
        return None
    evaluator, settings = judging_evaluator(options, spec.evaluators), engine.settings
    if is_referee(spec, options):
        workflow = Workflow.model_validate(cases[0].inputs["workflow"])
        engine.endpoint.prices.require(settings.model_for("referee"))
        judge = referee_judge(workflow, labels, llm, settings, engine.endpoint.name)
    else:
        field = f"evaluators.{spec.evaluators.index(evaluator)}"
        judge = evaluator_judge(evaluator, llm, settings, engine.endpoint.name, field=field)
    return JudgeGate(judge, labels, options.min_kappa, options.calibration)


async def require_judge(context: TrainingContext, gate: JudgeGate) -> dict[str, Any]:
    """Measure the judge within the run's own budget and log what was found.

    Returns:
        What was measured.

    Raises:
        JudgeRefusedError: It agrees with people too little.
        StopError: No more work may be started.
    """
    known = await context.db.read(steps.read_step, context.run_id, _STEP)
    if known is not None:
        return known
    timeout = context.spec.optimizer.case_timeout_seconds
    panel = JudgePanel(context, gate.judge, gate.labels.cases, timeout_seconds=timeout)
    await panel.ask_all()
    facts = measured(gate.judge, gate.labels, panel.judged, gate.min_kappa) | {"file": gate.file}
    facts["differences"] = facts["differences"][:_SHOWN]
    await context.db.write(_log, context, facts)
    if facts["passed"]:
        return facts
    raise JudgeRefusedError(
        f"judge: {facts['verdict']} Nothing was trained.",
        facts=facts,
        hint=f"See which cases differ: cornerman judge check {gate.file} --spec SPEC. Then mend "
        "the rubric, take a better REFEREE_MODEL, or lower judge.min_kappa.",
    )


def _log(session: Any, context: TrainingContext, facts: dict[str, Any]) -> None:
    runs.require_held(session, context.run_id, context.owner)
    if facts["passed"]:
        # A run that is resumed asks nobody again, whatever kind of judge it has.
        steps.create_step(session, context.run_id, _STEP, facts)
    # Said once for each outcome of a run that is tried again.
    key = f"judge:{facts['kappa']['value']}:{facts['scored']}"
    events.create_event(
        session,
        context.run_id,
        NewEvent("agentensor_trainer", "judge_checked", facts, key),
    )


def measured(
    judge: LabelJudge, labels: Labels, judged: Sequence[JudgedCase], min_kappa: float | None
) -> dict[str, Any]:
    """What a judge's scores come to, as documents and events have it.

    Args:
        judged: May lack cases, where the asking was stopped.
        min_kappa: The bar; None for none.
    """
    scored = [(one, one.score) for one in judged if one.score is not None]
    people, scores = [one.labelled.label for one, _ in scored], [score for _, score in scored]
    found = judge_agreement(people, scores, labels.levels).as_dict()
    found["levels"] = [labels.as_given(level) for level in labels.levels]
    verdict = _verdict(found, len(judged), len(scored), min_kappa)
    return {
        "judge": judge.facts,
        "cases": len(labels.cases),
        "scored": len(scored),
        "unscored": len(judged) - len(scored),
        "remembered": sum(one.remembered for one in judged),
        **found,
        "min_kappa": min_kappa,
        "passed": verdict == "",
        "verdict": verdict,
        "differences": _differences(labels, judged),
        "unscored_cases": [
            {"id": one.labelled.case.id, "error": one.error} for one in judged if one.score is None
        ],
        "columns_not_read": list(labels.unread),
    }


def _verdict(found: dict[str, Any], judged: int, scored: int, min_kappa: float | None) -> str:
    """Why the judge does not do; empty where it does."""
    lost = judged - scored
    if not judged or lost > MOST_UNSCORED * judged:
        return (
            f"the judge gave no verdict on {lost} of {judged} cases; at most "
            f"{MOST_UNSCORED:.0%} may go without."
        )
    kappa = found["kappa"]
    if min_kappa is None or (kappa["value"] is not None and kappa["value"] >= min_kappa):
        return ""
    if kappa["value"] is None:
        return "the cases that have a verdict are all alike, so kappa can tell nothing."
    return (
        f"its kappa with people's labels is {kappa['value']:.2f} (95% interval {kappa['low']:.2f} "
        f"to {kappa['high']:.2f}, {kappa['n']} cases), under the {min_kappa:g} that is asked for."
    )


def _differences(labels: Labels, judged: Sequence[JudgedCase]) -> list[dict[str, Any]]:
    """The cases on which judge and people differ in level, the furthest apart first."""
    found = list[tuple[float, dict[str, Any]]]()
    for one in judged:
        if one.score is None:
            continue
        label, levels = one.labelled.label, labels.levels
        level = nearest_level(one.score, levels)
        if level == nearest_level(label, levels):
            continue
        line = {
            "id": one.labelled.case.id,
            "label": labels.as_given(label),
            "score": labels.as_given(one.score),
            "level": labels.as_given(levels[level]),
            "reason": one.reason,
            "judged": clip(_text(one), _SHOWN_CHARS),
        }
        found.append((abs(one.score - label), line))
    return [line for _, line in sorted(found, key=lambda pair: -pair[0])]


def _text(one: JudgedCase) -> str:
    if one.labelled.turns:
        return "\n".join(f"{turn.speaker}: {turn.text}" for turn in one.labelled.turns)
    return str(one.labelled.output)
