"""What a referee may answer and what becomes of its verdict."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cornerman.domain.answers import json_object, lower_keys, read_money, read_score
from cornerman.domain.battles import Evaluated, Outcome, SubScore, Turn
from cornerman.domain.battles.workflows import Rubric
from cornerman.domain.errors import LLMError
from cornerman.domain.referee.transcripts import find_quote

VerdictOutcome = Literal["deal", "no_deal", "resolved", "unresolved"]

# Below this the persona was not itself, and the battle says nothing about the agent.
FIDELITY_FLOOR = 0.5
_RATIONALE = 20_000


class Verdict(BaseModel):
    """A referee's judgement of one conversation.

    Args:
        score: 0 to 100 for the side that plays the agent.
        persona_fidelity: How well the other side stayed in character, 0 to 1; 1 where the
            referee does not say.
        agreed_price: As the referee read it; the computed one counts.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    score: float = Field(ge=0, le=100)
    sub_scores: tuple[SubScore, ...] = ()
    persona_fidelity: float = Field(default=1.0, ge=0, le=1)
    outcome: VerdictOutcome | None = None
    agreed_price: float | None = None
    rationale: str = Field(default="", max_length=_RATIONALE)


class _Cited(BaseModel):
    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    name: str
    score: float = Field(ge=0, le=100)
    turn: int | None = None
    evidence: str = ""


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    sub_scores: list[_Cited] = Field(default_factory=list[_Cited], max_length=50)


class Judgement(BaseModel):
    """What a battle's row gets from its verdict and its computed outcome."""

    model_config = ConfigDict(frozen=True)

    status: Literal["scored", "unscored"]
    score: float | None
    sub_scores: tuple[SubScore, ...] = ()
    fidelity: float | None = None
    spoiled: bool = False
    rationale: str = ""
    outcome: Outcome | None = None


def parse_verdict(text: str, turns: Sequence[Turn], rubric: Rubric | None = None) -> Verdict:
    """Read a referee's answer.

    Evidence that is not a quote stays but is flagged (`evidence_ok` False); evidence from another
    turn than the cited one moves to the turn it is from; a citation of a turn that does not exist
    is dropped.

    Args:
        rubric: Ask for exactly its criteria; others are dropped.

    Raises:
        LLMError: Of kind `schema`; the message says what is wrong, for one repair.
    """
    try:
        found = json_object(text)
    except ValueError as error:
        raise _refused(f"it is not JSON: {error}.") from error
    try:
        raw = _plain(lower_keys(found))
        cited = _Answer.model_validate(raw).sub_scores
        verdict = Verdict.model_validate({**raw, "sub_scores": []})
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"]) or "answer"
        raise _refused(f"{path}: {first['msg']}.") from error
    except ValueError as error:
        raise _refused(f"{error}.") from error
    scores = [_checked(item, turns) for item in cited]
    if rubric is not None:
        scores = _for_rubric(scores, rubric)
    return verdict.model_copy(update={"sub_scores": tuple(scores)})


_OUTCOMES = ("deal", "no_deal", "resolved", "unresolved")


def _plain(raw: dict[str, Any]) -> dict[str, Any]:
    """The answer with what is needed brought onto its scale, and what is not needed made fit.

    Raises:
        ValueError: Its score cannot be read.
    """
    plain = {**raw, "score": read_score(raw.get("score"), 100)}
    if (fidelity := plain.pop("persona_fidelity", None)) is not None:
        try:
            plain["persona_fidelity"] = read_score(fidelity, 1)
        except ValueError as error:
            raise ValueError(f"persona_fidelity: {error}") from None
    outcome = str(raw.get("outcome") or "").strip().lower().replace(" ", "_").replace("-", "_")
    plain["outcome"] = outcome if outcome in _OUTCOMES else None
    plain["agreed_price"] = read_money(raw.get("agreed_price"))
    plain["rationale"] = _text(raw.get("rationale") or raw.get("reason"))[:_RATIONALE]
    lines = raw.get("sub_scores")
    if isinstance(lines, dict):
        # By their names in place of a list.
        named = cast("dict[str, Any]", lines)
        lines = [
            {**(held if isinstance(held, dict) else {"score": held}), "name": name}
            for name, held in named.items()
        ]
    plain["sub_scores"] = [
        _plain_line(cast("dict[str, Any]", line))
        for line in (cast("list[Any]", lines) if isinstance(lines, list) else [])
        if isinstance(line, dict)
    ]
    return plain


def _plain_line(line: dict[str, Any]) -> dict[str, Any]:
    turn = line.get("turn")
    found = re.search(r"\d+", turn) if isinstance(turn, str) else None
    whole = isinstance(turn, int) and not isinstance(turn, bool)
    return {
        **line,
        "score": read_score(line.get("score"), 100),
        "turn": int(found[0]) if found is not None else turn if whole else None,
        "evidence": _text(line.get("evidence")),
    }


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def _refused(what: str) -> LLMError:
    return LLMError(f"Expected a verdict as one JSON object; {what}", kind="schema")


def _checked(item: _Cited, turns: Sequence[Turn]) -> SubScore:
    found = find_quote(item.evidence, turns, item.turn)
    known = {turn.index for turn in turns}
    return SubScore(
        name=item.name,
        score=item.score,
        turn=found if found is not None else (item.turn if item.turn in known else None),
        evidence=item.evidence[:2_000],
        evidence_ok=found is not None,
    )


def _for_rubric(scores: Sequence[SubScore], rubric: Rubric) -> list[SubScore]:
    by_name = {score.name: score for score in reversed(scores)}
    missing = [c.name for c in rubric.criteria if c.name not in by_name]
    if missing:
        raise _refused(f"sub_scores: nothing for {', '.join(missing)}.")
    return [by_name[c.name] for c in rubric.criteria]


def checked_score(
    evaluations: Mapping[str, Evaluated], weights: Mapping[str, float]
) -> float | None:
    """0 to 100 by the evaluators that count; None where there is none."""
    counted = {name: found for name, found in evaluations.items() if found.counts}
    total = sum(weights[name] for name in counted)
    if not counted:
        return None
    return 100 * sum(weights[name] * found.score for name, found in counted.items()) / total


def combine(
    verdict: Verdict | None, outcome: Outcome | None, checked: float | None = None
) -> Judgement:
    """A battle's score from the verdict and, where there is one, what was computed.

    A computed outcome and what the workflow's evaluators found override the judged score; of both
    the lower one counts, so that neither hides the other. Without a verdict the battle is
    unscored, never 0: nobody saw whether the persona stayed in character.

    Args:
        checked: See `checked_score`.
    """
    if verdict is None:
        return Judgement(status="unscored", score=None, outcome=outcome)
    computed = [score for score in (outcome and outcome.score, checked) if score is not None]
    return Judgement(
        status="scored",
        score=min(computed) if computed else verdict.score,
        sub_scores=verdict.sub_scores,
        fidelity=verdict.persona_fidelity,
        spoiled=verdict.persona_fidelity < FIDELITY_FLOOR,
        rationale=verdict.rationale,
        outcome=outcome,
    )


def verdict_response_format(rubric: Rubric | None = None) -> dict[str, Any]:
    """The `response_format` of a referee's call: a strict JSON schema of `Verdict`."""
    name: dict[str, Any] = {"type": "string"}
    if rubric is not None:
        name["enum"] = [criterion.name for criterion in rubric.criteria]
    number = {"type": "number"}
    sub_score = _object(
        name=name, score=number, turn={"type": "integer"}, evidence={"type": "string"}
    )
    schema = _object(
        score=number,
        sub_scores={"type": "array", "items": sub_score},
        persona_fidelity=number,
        outcome={"type": "string", "enum": ["deal", "no_deal", "resolved", "unresolved"]},
        agreed_price={"type": ["number", "null"]},
        rationale={"type": "string"},
    )
    return {
        "type": "json_schema",
        "json_schema": {"name": "verdict", "strict": True, "schema": schema},
    }


def _object(**properties: Any) -> dict[str, Any]:
    # Strict schemas must require every property and close the object.
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
