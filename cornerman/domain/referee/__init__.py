"""What a referee is asked. What it may answer is in `verdicts`, and importable from here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cornerman.domain.battles import Speaker, Turn
from cornerman.domain.battles.conversation import ChatMessage
from cornerman.domain.battles.workflows import Rubric
from cornerman.domain.errors import LLMError
from cornerman.domain.personas import Persona, Scenario
from cornerman.domain.referee.transcripts import defuse, fenced_transcript, side_names
from cornerman.domain.referee.verdicts import FIDELITY_FLOOR as FIDELITY_FLOOR
from cornerman.domain.referee.verdicts import Judgement as Judgement
from cornerman.domain.referee.verdicts import Verdict as Verdict
from cornerman.domain.referee.verdicts import checked_score as checked_score
from cornerman.domain.referee.verdicts import combine as combine
from cornerman.domain.referee.verdicts import parse_verdict as parse_verdict
from cornerman.domain.referee.verdicts import verdict_response_format as verdict_response_format


def referee_messages(
    rubric: Rubric,
    scenario: Scenario,
    turns: Sequence[Turn],
    *,
    blind: bool = True,
    order_seed: int = 0,
    persona: Persona | None = None,
) -> list[ChatMessage]:
    """What a referee is asked.

    Args:
        blind: Call the sides A and B in an order drawn by `order_seed`, so that neither a name
            nor a place says which of them is being trained.
        persona: Whose character the other side plays, to judge how well it kept it.
    """
    names = side_names(order_seed, blind=blind)
    system = (
        "You are a strict, fair referee of a conversation between two sides.\n"
        f"{rubric.task.strip()}\n\n# Criteria, each scored 0 to 100\n"
        + "\n".join(f"- {c.name} (weight {c.weight:g}): {c.description}" for c in rubric.criteria)
        + _anchors(rubric)
        + "\n\nAnswer with one JSON object and nothing else: score (0-100, overall), sub_scores "
        "(one for each criterion: name, score, turn, evidence), persona_fidelity (0-1), outcome "
        "(deal, no_deal, resolved or unresolved), agreed_price (number or null), rationale. "
        "Evidence is a short verbatim quote from the turn that it cites by number."
    )
    user = "\n\n".join(
        [
            _task(scenario, names, persona),
            fenced_transcript(turns, names, order_seed),
            f"Now judge side {names['agent']} and answer with the JSON object.",
        ]
    )
    return [{"role": "system", "content": system}, {"role": "user", "content": user}]


def _anchors(rubric: Rubric) -> str:
    if not rubric.anchors:
        return ""
    lines = (f"- {score}: {text}" for score, text in sorted(rubric.anchors.items()))
    return "\n\n# What overall scores mean\n" + "\n".join(lines)


def _task(scenario: Scenario, names: Mapping[Speaker, str], persona: Persona | None) -> str:
    card = ""
    if persona is not None:
        traits = "; ".join([persona.description or persona.name, *persona.characteristics])
        # Imported and generated personas are other people's text, like the transcript.
        card = f" Its character: {defuse(traits)[:1_000]}"
    lines = {
        names["agent"]: f"Side {names['agent']} is {scenario.agent_role}. Its goal: "
        f"{scenario.agent_goal}",
        names["persona"]: f"Side {names['persona']} is {scenario.persona_role}. Its goal: "
        f"{scenario.persona_goal}{card}",
    }
    # In order of their names, so that the place says nothing either.
    sides = "\n".join(lines[name] for name in sorted(lines))
    return (
        f"# The situation\n{scenario.description}\n\n{sides}\n\n"
        f"Score how well side {names['agent']} did; persona_fidelity is for side "
        f"{names['persona']}: 1 when it stayed in character and went for its goal throughout, 0 "
        "when it fell out of its role."
    )


def repair_messages(
    messages: Sequence[ChatMessage], answer: str, error: LLMError
) -> list[ChatMessage]:
    """The one further question after an answer that `parse_verdict` refused."""
    return [
        *messages,
        {"role": "assistant", "content": answer[:4_000] or "(empty)"},
        {
            "role": "user",
            "content": f"That answer cannot be used: {error.message} "
            "Answer again with the complete JSON object and nothing else.",
        },
    ]
