"""What a report holds: plain facts, already computed, in fields that JSON can carry.

Everything may be empty: None or an empty sequence means "not known" or "none yet", and the page
says so. Training scores run 0..1, battle scores 0..100, money is USD, times are ISO 8601 text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cornerman.report.evaluation import EvaluationSection


@dataclass(frozen=True)
class Estimate:
    """A mean of `n` measurements with its 95% interval; None where it has none."""

    value: float
    low: float | None = None
    high: float | None = None
    n: int = 0


@dataclass(frozen=True)
class Improvement:
    """Mean of paired differences, after minus before, with its 95% interval."""

    mean: float
    low: float | None = None
    high: float | None = None
    n: int = 0


@dataclass(frozen=True)
class SplitSizes:
    """Cases per split; `note` says what is unusual about the split."""

    train: int = 0
    validation: int = 0
    test: int = 0
    note: str = ""


@dataclass(frozen=True)
class CaseCounts:
    """How the run's cases ended."""

    scored: int = 0
    timed_out: int = 0
    errored: int = 0


@dataclass(frozen=True, kw_only=True)
class EpochPoint:
    """One epoch; `accepted` is None while undecided, `cost_usd` is that epoch's own cost."""

    epoch: int
    score: float | None = None
    validation_score: float | None = None
    validation_low: float | None = None
    validation_high: float | None = None
    cost_usd: float = 0.0
    accepted: bool | None = None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class CandidateNode:
    """One set of prompts, where it came from and what became of it."""

    id: str
    parent_id: str | None = None
    epoch: int = 1
    origin: str = ""
    validation_score: float | None = None
    accepted: bool | None = None
    reason: str = ""

    @property
    def merged(self) -> bool:
        """Whether its change lives on in another candidate, which is no rejection."""
        # The second is how earlier versions worded it.
        return self.accepted is False and self.reason.startswith(("merged into ", "it is part of "))


@dataclass(frozen=True, kw_only=True)
class CaseOutcome:
    """One case under the starting and under the best prompts.

    Args:
        index: Position in the dataset, from 0.
        status: `scored`, `timed_out` or `errored`, under the best prompts.
        score_before: Score under the starting prompts; None when it has none.
        score_after: Score under the best prompts; None when it has none.
        trace: Its model calls in order, under the best prompts.
    """

    case_id: str
    index: int = 0
    split: str = ""
    status: str = "scored"
    inputs: Any = None
    expected: Any = None
    output: Any = None
    score_before: float | None = None
    score_after: float | None = None
    reason: str = ""
    error: str = ""
    trace: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, kw_only=True)
class LedgerRow:
    """All calls of one role to one model."""

    role: str
    model: str = ""
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    failed: int = 0


@dataclass(frozen=True, kw_only=True)
class TrainingSection:
    """One training run.

    Args:
        seed_test: Test score of the starting prompts.
        best_test: Test score of the best checkpoint's prompts.
        unchanged: No rewrite did better, so the best prompts are those it started from.
        remark: What the number of test cases can show; empty when it needs no word.
        notes: What is to be known of its agent, such as that its cost is unknown.
        cost_over_time: Pairs of seconds since the start and USD spent until then.
        worst_cases: The cases worth reading, in any order.
    """

    run_id: str
    workflow_id: str = ""
    status: str = ""
    stopped_by: str = ""
    started_at: str = ""
    finished_at: str = ""
    seed_test: Estimate | None = None
    best_test: Estimate | None = None
    improvement: Improvement | None = None
    unchanged: bool = False
    remark: str = ""
    notes: Sequence[str] = ()
    split: SplitSizes = field(default_factory=SplitSizes)
    cost_usd: float = 0.0
    budget_usd: float | None = None
    model_calls: int = 0
    cases: CaseCounts = field(default_factory=CaseCounts)
    epochs: Sequence[EpochPoint] = ()
    candidates: Sequence[CandidateNode] = ()
    best_checkpoint_id: str = ""
    config_version: int | None = None
    prompts_before: Mapping[str, str] = field(default_factory=dict[str, str])
    prompts_after: Mapping[str, str] = field(default_factory=dict[str, str])
    cost_over_time: Sequence[tuple[float, float]] = ()
    worst_cases: Sequence[CaseOutcome] = ()
    ledger: Sequence[LedgerRow] = ()


@dataclass(frozen=True, kw_only=True)
class SubScore:
    """One part of a referee's score and the turn that shows it.

    Args:
        turn: `Turn.index` of the turn cited; None when none was.
        evidence: The referee's words, usually a quotation.
        evidence_ok: Whether the quotation stands in that turn; None when unchecked.
    """

    name: str
    score: float | None = None
    turn: int | None = None
    evidence: str = ""
    evidence_ok: bool | None = None


@dataclass(frozen=True)
class ToolUse:
    """A tool that the agent called in a turn, and what came back; `failed` says that it did."""

    name: str
    arguments: Any = None
    result: str = ""
    failed: bool = False


@dataclass(frozen=True)
class Turn:
    """One message; `speaker` is `agent` or `persona`."""

    index: int
    speaker: str
    text: str = ""
    tools: Sequence[ToolUse] = ()


@dataclass(frozen=True)
class Check:
    """What an evaluator of the workflow found, 0 to 1; `counts` says that it is in the score."""

    name: str
    score: float
    reason: str = ""
    counts: bool = True


@dataclass(frozen=True, kw_only=True)
class BattleCard:
    """One conversation; `score` None means unscored, `spoiled` that it counts for no rating.

    Args:
        computed: The score is of the outcome and the targets, or of `checks`, whatever referees
            said.
        judged_scores: What each referee said.
        fidelity: How well the persona stayed in character, 0 to 1.
        rationale: The referee's words for the whole.
        rerun: It confirms a breakthrough with another seed.
    """

    id: str
    persona_id: str = ""
    persona_name: str = ""
    status: str = ""
    score: float | None = None
    ended_by: str = ""
    outcome: str = ""
    agreed_price: float | None = None
    cost_usd: float = 0.0
    spoiled: bool = False
    computed: bool = False
    judged_scores: Sequence[float] = ()
    fidelity: float | None = None
    rationale: str = ""
    rerun: bool = False
    error: str = ""
    sub_scores: Sequence[SubScore] = ()
    checks: Sequence[Check] = ()
    turns: Sequence[Turn] = ()


@dataclass(frozen=True, kw_only=True)
class DifficultyRow:
    """How the agent fared against one persona over all battles met; `metrics` by sub-score."""

    persona_id: str
    persona_name: str = ""
    mean_score: float | None = None
    battles: int = 0
    walk_aways: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, kw_only=True)
class Rating:
    """A strength on the scale that agents and personas share; `kind` is `agent` or `persona`."""

    name: str
    kind: str
    rating: float
    low: float | None = None
    high: float | None = None
    battles: int = 0


@dataclass(frozen=True, kw_only=True)
class BreakthroughCard:
    """A battle whose tactic may be kept."""

    title: str
    tactic: str = ""
    snippet: str = ""
    state: str = ""
    battle_id: str = ""
    confirmed: str = ""


@dataclass(frozen=True, kw_only=True)
class EarlierBatch:
    """The batch that another one repeats: the same people, scenes and seeds.

    Args:
        change: How much better the repetition went, paired by persona, in points.
        finding: What that shows, in a sentence.
    """

    batch_id: str
    version: str
    average_score: Estimate | None = None
    change: Improvement | None = None
    finding: str = ""
    battles: Sequence[BattleCard] = ()


@dataclass(frozen=True, kw_only=True)
class BattleSection:
    """One batch of battles; `cost_over_time` as in `TrainingSection`.

    Args:
        remarks: What else is to be known of its scores, in sentences.
    """

    batch_id: str
    workflow_id: str = ""
    status: str = ""
    stopped_by: str = ""
    started_at: str = ""
    finished_at: str = ""
    average_score: Estimate | None = None
    total_cost_usd: float = 0.0
    batch_budget_usd: float | None = None
    day_budget_usd: float | None = None
    day_spent_usd: float | None = None
    battles: Sequence[BattleCard] = ()
    version: str = ""
    earlier: EarlierBatch | None = None
    remarks: Sequence[str] = ()
    difficulty: Sequence[DifficultyRow] = ()
    ratings: Sequence[Rating] = ()
    breakthroughs: Sequence[BreakthroughCard] = ()
    cost_over_time: Sequence[tuple[float, float]] = ()
    ledger: Sequence[LedgerRow] = ()


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything one page shows; `simulated` when any of its text came from the rehearsal."""

    title: str
    generated_at: str
    simulated: bool = False
    training: TrainingSection | None = None
    evaluation: EvaluationSection | None = None
    battles: BattleSection | None = None
    notes: Sequence[str] = ()
