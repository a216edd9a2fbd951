"""How a battle's conversation goes: what each side is shown and when it ends."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Any

from cornerman.domain.battles import STORED_TURN_BYTES, Speaker
from cornerman.domain.battles import EndReason as EndReason
from cornerman.domain.battles import Turn as Turn
from cornerman.domain.battles.negotiation import agreed_price
from cornerman.domain.battles.phrases import clauses, refuses, walks_away
from cornerman.domain.battles.workflows import Limits
from cornerman.domain.personas import Persona, Scenario

ChatMessage = dict[str, str]

PROMPT_CHARS = 8_000
_SILENCE = "(says nothing)"
_STAGE_DIRECTION = re.compile(
    r"[\[(*][^\])*]{0,80}(?:silen|nothing|pause|no (?:answer|reply|response))[^\])*]{0,80}[\])*]",
    re.IGNORECASE,
)
_GOAL_MARKER = re.compile(r"\[\s*goal[ _-]?reached\s*\]", re.IGNORECASE)
_RESOLVED = re.compile(
    r"\b(?:(?:that|this|it|you(?:'ve)?)(?: has| have)? (?:really |just )?"
    r"(?:solve[sd]|fixe[sd]|resolve[sd]|worked|answer(?:s|ed))"
    r"|(?:issue|problem|question|matter) is (?:now )?(?:solved|fixed|resolved|answered)"
    r"|that(?:'s| is) (?:all|everything) i (?:needed|wanted)|i'm all set)\b",
    re.IGNORECASE,
)


def make_turn(index: int, speaker: Speaker, text: str, **facts: Any) -> Turn:
    """A turn as it is stored: without NUL (no database text holds it), at most 64 KB.

    Args:
        facts: `cost_usd`, `input_tokens`, `output_tokens` and `latency_ms` of the call, and
            `tool_calls` and `state` of an own agent.
    """
    encoded = text.replace("\x00", "").encode("utf-8", "replace")
    kept = encoded[:STORED_TURN_BYTES].decode("utf-8", "ignore")
    return Turn(
        index=index,
        speaker=speaker,
        text=kept,
        truncated=len(encoded) > STORED_TURN_BYTES,
        **facts,
    )


def next_speaker(turns: Sequence[Turn], first: Speaker = "persona") -> Speaker:
    """Whose turn it is; the sides alternate."""
    if not turns:
        return first
    return "persona" if turns[-1].speaker == "agent" else "agent"


def clip(text: str, limit: int = PROMPT_CHARS) -> str:
    """What later prompts show of a turn: its beginning, with a note of what was cut."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}\n[… {len(text) - limit:,} characters cut]"


def agent_messages(
    workflow_prompt: str,
    scenario: Scenario,
    turns: Sequence[Turn],
    limit: int = PROMPT_CHARS,
) -> list[ChatMessage]:
    """The whole conversation from the agent's side, as chat messages.

    Args:
        workflow_prompt: The trained prompt's text.
        limit: Characters kept of each turn.
    """
    system = f"{workflow_prompt.strip()}\n\n{agent_situation(scenario)}"
    return [{"role": "system", "content": system}, *_history(turns, "agent", limit)]


def persona_messages(
    persona: Persona,
    scenario: Scenario,
    turns: Sequence[Turn],
    limit: int = PROMPT_CHARS,
) -> list[ChatMessage]:
    """The whole conversation from the persona's side; it is told its goal and to stay itself."""
    parts = [persona.system_prompt.strip()]
    if persona.characteristics:
        parts.append("You are: " + "; ".join(persona.characteristics) + ".")
    if persona.attack_patterns:
        parts.append("What you do:\n" + "\n".join(f"- {p}" for p in persona.attack_patterns))
    parts.append(_situation(scenario.description, scenario.persona_role, scenario.persona_goal))
    parts.append(
        "Stay in character in every line. Say only your own next line, under 120 words; never "
        "speak for the other side, and never mention these instructions.\n"
        + _ending(scenario, "persona")
    )
    system = "\n\n".join(parts)
    return [{"role": "system", "content": system}, *_history(turns, "persona", limit)]


def agent_situation(scenario: Scenario) -> str:
    """What an agent is told of the battle beside its own prompt."""
    situation = _situation(scenario.description, scenario.agent_role, scenario.agent_goal)
    return f"{situation}\n{_ending(scenario, 'agent')}"


def told_messages(
    turns: Sequence[Turn], *, limit: int = PROMPT_CHARS, new_only: bool = False
) -> list[ChatMessage]:
    """The conversation as an agent of the user's own gets it: it is the assistant.

    Args:
        new_only: Only what was said since its last turn, for one that keeps the rest itself.
    """
    if new_only:
        last = max((t.index for t in turns if t.speaker == "agent"), default=-1)
        turns = [turn for turn in turns if turn.index > last]
    return _history(turns, "agent", limit)


def _situation(description: str, role: str, goal: str) -> str:
    return f"# The situation\n{description.strip()}\n\nYour role: {role}\nYour goal: {goal.strip()}"


def _ending(scenario: Scenario, side: Speaker) -> str:
    if scenario.price_targets is not None:
        currency = scenario.price_targets.currency
        price = f"{currency} X" if currency[-1].isalpha() else f"{currency}X"
        return (
            f"When you accept the other side's price, write DEAL at {price} with that price. "
            "When you leave for good, write [WALK AWAY]."
        )
    if side == "persona":
        return (
            "When your goal is met, thank the other side and write [GOAL REACHED]. "
            "When you give up for good, write [WALK AWAY]."
        )
    return "The other side says when its goal is met."


def _history(turns: Sequence[Turn], side: Speaker, limit: int) -> list[ChatMessage]:
    messages = [
        {
            "role": "assistant" if turn.speaker == side else "user",
            "content": clip(turn.text, limit) if turn.text.strip() else _SILENCE,
        }
        for turn in turns
    ]
    # Many endpoints refuse a chat whose first line is not the user's.
    if not messages or messages[0]["role"] == "assistant":
        messages.insert(0, {"role": "user", "content": "(The conversation begins.)"})
    return messages


def end_reason(turns: Sequence[Turn], scenario: Scenario, limits: Limits) -> EndReason | None:
    """Why the conversation is over after its last turn, or None when it goes on.

    A reached goal goes before everything else and the turn limit comes last, so that a deal in
    the last turn counts as a deal.
    """
    if not turns:
        return None
    if _goal_reached(turns, scenario):
        # What the agent asked before it would act is confirmed: it has one turn more to do it.
        return None if _confirms(turns, scenario) else "goal_reached"
    if turns[-1].speaker == "agent" and _goal_reached(turns[:-1], scenario):
        return "goal_reached"
    if walks_away(turns[-1].text):
        return "walk_away"
    if _stalled(turns):
        return "stall"
    if _repeats(turns, limits.repetition_ratio):
        return "repetition"
    return "turn_limit" if len(turns) >= limits.turn_limit else None


def _goal_reached(turns: Sequence[Turn], scenario: Scenario) -> bool:
    if scenario.price_targets is not None:
        return agreed_price(turns) is not None
    # Only the persona knows whether it was helped; the agent's word for it would be too cheap.
    last = turns[-1]
    if last.speaker != "persona":
        return False
    return bool(_GOAL_MARKER.search(last.text)) or any(
        _RESOLVED.search(c) and not refuses(c) and not c.endswith("?") for c in clauses(last.text)
    )


# A yes at the beginning of a clause. Whole words of the most spoken languages of Europe and Asia;
# in another language a talk ends as it did, without the turn more.
_AFFIRMING = re.compile(
    r"^(?:yes|yeah|yep|yup|sure|ok(?:ay)?|absolutely|correct|right|exactly|please do|go ahead"
    r"|proceed|confirm(?:ed)?|i confirm|agreed|that works|sounds good|do it|perfect|great"
    r"|ja\b|gerne|genau|einverstanden|bestätigt|ich bestätige|oui|d'accord|je confirme|parfait"
    r"|s[íi]\b|claro|de acuerdo|adelante|confirmo|sì|va bene|certo|confermo|sim\b|pode ser"
    r"|tak\b|zgoda|potwierdzam|ano\b|да|хорошо|согласен|согласна|подтверждаю|так\b"
    r"|evet|tamam|onaylıyorum|نعم|हाँ|हां|是|好|可以|确认|對|对|はい|お願い|ええ|네|예|좋아요)",
    re.IGNORECASE,
)
_ASKING = re.compile(r"\b(?:confirm|let me know|yes or no|yes/no|proceed)\b", re.IGNORECASE)
_ASKED_CHARS = 400


def _confirms(turns: Sequence[Turn], scenario: Scenario) -> bool:
    """Whether the persona's last line says yes to what the agent asked for in the line before."""
    if scenario.price_targets is not None or len(turns) < 2:
        return False
    asked = turns[-2].text.rstrip()[-_ASKED_CHARS:]
    # A question mark of Greek looks like a semicolon, and counts where it ends the line.
    is_asked = any(mark in asked for mark in "?？؟") or asked.endswith(";") or _ASKING.search(asked)
    said = _GOAL_MARKER.sub(" ", turns[-1].text)
    return bool(is_asked) and any(_AFFIRMING.search(clause) for clause in clauses(said))


def _near_empty(text: str) -> bool:
    return len(re.findall(r"\w", _STAGE_DIRECTION.sub("", text[:PROMPT_CHARS]))) < 2


def _stalled(turns: Sequence[Turn]) -> bool:
    """Two near-empty turns in a row, of both sides or of one."""
    own = [t for t in turns if t.speaker == turns[-1].speaker]
    return any(
        len(pair) == 2 and all(_near_empty(t.text) for t in pair) for pair in (turns[-2:], own[-2:])
    )


def _repeats(turns: Sequence[Turn], ratio: float) -> bool:
    """Whether the last turn says nearly what its side said in one of its two turns before."""
    own = [_words(t.text) for t in turns if t.speaker == turns[-1].speaker][-3:]
    last = own[-1]
    # "Yes, please." twice is politeness; other numbers are another offer.
    return len(last) >= 4 and any(
        _numbers(last) == _numbers(before)
        and SequenceMatcher(None, before, last, autojunk=False).ratio() >= ratio
        for before in own[:-1]
    )


def _words(text: str) -> list[str]:
    # Comparing is quadratic; the first 300 words show a repetition well enough.
    return re.findall(r"\w+", text[:PROMPT_CHARS].lower())[:300]


def _numbers(words: list[str]) -> list[str]:
    return [word for word in words if word[0].isdigit()]
