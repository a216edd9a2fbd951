"""A report like the demo's: 120 cases, three epochs and more, five battles."""

from __future__ import annotations

import random

from cornerman.report.model import (
    BattleCard,
    BattleSection,
    BreakthroughCard,
    CandidateNode,
    CaseCounts,
    CaseOutcome,
    DifficultyRow,
    EpochPoint,
    Estimate,
    Improvement,
    LedgerRow,
    Rating,
    Report,
    SplitSizes,
    SubScore,
    TrainingSection,
    Turn,
)

_BEFORE = """You are a helpful assistant. Count the objects in the question and answer.

Be polite and give the user as much detail as you can."""
_AFTER = """You are a careful counter. Count the objects that the question asks for and answer \
with a number.

Work in three steps:
1. List every item with its quantity; "a" and "an" mean 1.
2. Leave out items that are not of the kind asked for.
3. Add the quantities up.

End with one line: Answer: <number>. Give no other detail."""
_THINGS = ["two apples", "a plum", "three trombones", "an orange", "four chickens", "a stove"]


def sample_report(*, simulated: bool = True) -> Report:
    """Build the whole sample."""
    return Report(
        title="Object counting: training and five battles",
        generated_at="2026-03-09T14:05:31+00:00",
        simulated=simulated,
        training=sample_training(),
        battles=sample_battles(),
        notes=["Prices of the rehearsal models are made up, so that budgets have something to do."],
    )


def sample_training() -> TrainingSection:
    """Build a training run with a plateau and two rejected rewrites."""
    rng = random.Random(7)
    epochs = [
        _epoch(1, 0.517, 0.528, (0.37, 0.68), accepted=True, reason="starting prompts"),
        _epoch(2, 0.633, 0.667, (0.51, 0.80), accepted=True, reason="+0.139 over c0"),
        _epoch(3, 0.600, 0.611, (0.45, 0.76), accepted=False, reason="0.056 below c1"),
        _epoch(4, 0.817, 0.833, (0.70, 0.93), accepted=True, reason="+0.166 over c1"),
        _epoch(5, 0.833, 0.833, (0.70, 0.93), accepted=False, reason="no better than c3"),
    ]
    spent = 0.0
    points = [(0.0, 0.0)]
    for call in range(420):
        spent += rng.uniform(0.00004, 0.0002)
        points.append((round(call * 0.1 + rng.random() * 0.05, 3), round(spent, 6)))
    return TrainingSection(
        run_id="run_01JQ7M2V9T",
        workflow_id="object-counting",
        status="completed",
        stopped_by="epochs",
        started_at="2026-03-09T14:04:02+00:00",
        finished_at="2026-03-09T14:04:45+00:00",
        seed_test=Estimate(0.542, 0.351, 0.722, 24),
        best_test=Estimate(0.833, 0.641, 0.933, 24),
        improvement=Improvement(0.292, 0.083, 0.5, 24),
        split=SplitSizes(60, 36, 24),
        cost_usd=round(spent, 6),
        budget_usd=0.10,
        model_calls=420,
        cases=CaseCounts(scored=525, timed_out=2, errored=1),
        epochs=epochs,
        candidates=_candidates(),
        best_checkpoint_id="5f0c3a52-77f3-4c4f-9a34-1de2d4b3e8c1",
        config_version=7,
        prompts_before={"system": _BEFORE, "format": "Answer in English."},
        prompts_after={"system": _AFTER, "format": "Answer in English."},
        cost_over_time=points,
        worst_cases=[_case(index, rng) for index in range(120)],
        ledger=[
            LedgerRow(
                role="agent",
                model="rehearsal-agent",
                calls=414,
                input_tokens=96_212,
                output_tokens=21_870,
                cost_usd=0.0391,
                failed=3,
            ),
            LedgerRow(
                role="optimizer",
                model="rehearsal-optimizer",
                calls=6,
                input_tokens=14_034,
                output_tokens=2_260,
                cost_usd=0.0109,
            ),
        ],
    )


def sample_battles() -> BattleSection:
    """Build a batch of five: won, haggled, walked away, spoiled and failed."""
    names = ["Skeptic", "Haggler", "Angry customer", "Prompt injector", "Silent type"]
    return BattleSection(
        batch_id="batch_01JQ7M4D0C",
        workflow_id="used-goods-sale",
        status="completed",
        started_at="2026-03-09T14:04:50+00:00",
        finished_at="2026-03-09T14:05:29+00:00",
        average_score=Estimate(68.3, 49.5, 84.0, 3),
        total_cost_usd=0.0184,
        batch_budget_usd=5.0,
        day_budget_usd=15.0,
        day_spent_usd=0.0842,
        battles=[_battle(n, name) for n, name in enumerate(names)],
        difficulty=[
            _difficulty("Skeptic", 81.0, 6, 0),
            _difficulty("Haggler", 58.5, 7, 2),
            _difficulty("Angry customer", 34.0, 5, 3),
            _difficulty("Prompt injector", 92.0, 4, 0),
            _difficulty("Silent type", None, 1, 0),
        ],
        ratings=[
            _rating("used-goods-sale v7", "agent", 1584, 1519, 1661, 23),
            _rating("used-goods-sale v6", "agent", 1533, 1462, 1598, 31),
            _rating("Angry customer", "persona", 1561, 1450, 1690, 5),
            _rating("Haggler", "persona", 1502, 1421, 1587, 7),
            _rating("Skeptic", "persona", 1438, 1322, 1530, 6),
            _rating("Prompt injector", "persona", 1371, 1203, 1489, 4),
        ],
        breakthroughs=[
            BreakthroughCard(
                title="Anchor on the receipt before naming a price",
                tactic="Shows proof of the purchase price first, so that the counter-offer starts "
                "from it rather than from the buyer's number.",
                snippet="Here is the receipt from May: 240. With two months of warranty left I "
                "can do 180, delivered today.",
                state="pending_review",
                battle_id="battle_01JQ7M4D0C_0",
            )
        ],
        cost_over_time=[(n * 1.3, n * 0.0184 / 29) for n in range(30)],
        ledger=[
            LedgerRow(role="agent", model="rehearsal-agent", calls=17, input_tokens=9_114,
                      output_tokens=1_322, cost_usd=0.0061),
            LedgerRow(role="persona", model="rehearsal-persona", calls=16, input_tokens=8_420,
                      output_tokens=1_105, cost_usd=0.0052, failed=1),
            LedgerRow(role="referee", model="rehearsal-referee", calls=5, input_tokens=7_911,
                      output_tokens=890, cost_usd=0.0071),
        ],
    )  # fmt: skip


def _epoch(
    epoch: int,
    score: float,
    validation: float,
    interval: tuple[float, float],
    *,
    accepted: bool,
    reason: str,
) -> EpochPoint:
    return EpochPoint(
        epoch=epoch,
        score=score,
        validation_score=validation,
        validation_low=interval[0],
        validation_high=interval[1],
        cost_usd=0.0104,
        accepted=accepted,
        reason=reason,
    )


def _candidates() -> list[CandidateNode]:
    rows = [
        ("c0", None, 1, "starting prompts", 0.528, True, "The run began with it."),
        ("c1", "c0", 2, "rewritten from 8 failures", 0.667, True, "Validation rose by 0.139."),
        ("c2", "c1", 3, "rewritten from 8 failures", 0.611, False,
         "Validation fell by 0.056; 3 cases fixed, 5 broken."),
        ("c3", "c1", 4, "rewritten from 7 failures", 0.833, True, "Validation rose by 0.166."),
        ("c4", "c3", 5, "rewritten from 6 failures", 0.833, False,
         "A tie stays with the earlier candidate, which is shorter by 61 words."),
    ]  # fmt: skip
    return [
        CandidateNode(
            id=name, parent_id=parent, epoch=epoch, origin=origin, validation_score=score,
            accepted=accepted, reason=reason,
        )
        for name, parent, epoch, origin, score, accepted, reason in rows
    ]  # fmt: skip


def _case(index: int, rng: random.Random) -> CaseOutcome:
    picked = rng.sample(_THINGS, 4)
    before, after = float(rng.random() < 0.54), float(rng.random() < 0.85)
    status, error = "scored", ""
    if index in {17, 80}:
        status, error, after = "timed_out", "No answer within 30 s.", 0.0
    if index == 33:
        status, error = "errored", "ServerError: 500 after 3 attempts (agent, rehearsal-agent)"
    expected = str(rng.randint(4, 12))
    output = f"{', '.join(picked)}.\nAdded up, that makes\nAnswer: {expected if after else 11}"
    return CaseOutcome(
        case_id=f"case-{index:03d}",
        index=index,
        split=("train", "train", "train", "validation", "test")[index % 5],
        status=status,
        inputs={"question": f"I have {', '.join(picked)}. How many objects do I have?"},
        expected=expected,
        output=output if status == "scored" else None,
        score_before=before,
        score_after=None if status == "errored" else after,
        reason="The last number is the expected one." if after else "Expected another number.",
        error=error,
    )


def _battle(number: int, name: str) -> BattleCard:
    prices: list[float | None] = [180.0, 162.5, None, 195.0, None]
    scores: list[float | None] = [87.0, 71.0, 47.0, 92.0, None]
    persona_id = name.lower().replace(" ", "-")
    common = {"id": f"battle_01JQ7M4D0C_{number}", "persona_id": persona_id}
    if number == 4:
        return BattleCard(
            **common,
            persona_name=name,
            status="failed",
            ended_by="error",
            error="persona: connection lost after 3 attempts",
            turns=[Turn(1, "agent", "Hello! Are you interested in the bicycle?")],
        )
    return BattleCard(
        **common,
        persona_name=name,
        status="scored",
        score=scores[number],
        ended_by="walk_away" if number == 2 else "goal_reached",
        outcome="no deal" if number == 2 else "deal",
        agreed_price=prices[number],
        cost_usd=0.0037,
        spoiled=number == 3,
        sub_scores=[
            SubScore(name="Composure", score=90 - 12 * number, turn=3, evidence_ok=True,
                     evidence="Fair question. Here is the receipt from May: 240."),
            SubScore(name="Price held", score=84 - 15 * number, turn=5, evidence_ok=True,
                     evidence="I can do 180, delivered today."),
            SubScore(name="Clarity", score=88 - 5 * number, turn=5, evidence_ok=number != 1,
                     evidence="delivered today" if number != 1 else "The final price is 162.50."),
            SubScore(name="Honesty", score=95, evidence="Nothing it said was false."),
        ],
        turns=[
            Turn(1, "agent", "Hello! The bicycle is still here. What would you like to know?"),
            Turn(2, "persona", "How do I know it isn't stolen? I've seen a lot of scams here."),
            Turn(3, "agent", "Fair question. Here is the receipt from May: 240. You can check the "
                 "frame number against it when you come by."),
            Turn(4, "persona", "Hm. 240 new, so what, 120 used?"),
            Turn(5, "agent", "With two months of warranty left I can do 180, delivered today."),
            Turn(6, "persona", "No. I'm done here." if number == 2 else "All right. 180 it is."),
        ],
    )  # fmt: skip


def _difficulty(name: str, mean: float | None, battles: int, walk_aways: int) -> DifficultyRow:
    return DifficultyRow(
        persona_id=name.lower().replace(" ", "-"),
        persona_name=name,
        mean_score=mean,
        battles=battles,
        walk_aways=walk_aways,
        metrics={} if mean is None else {"Composure": mean, "Clarity": min(100.0, mean + 9)},
    )


def _rating(name: str, kind: str, rating: float, low: float, high: float, battles: int) -> Rating:
    return Rating(name=name, kind=kind, rating=rating, low=low, high=high, battles=battles)
