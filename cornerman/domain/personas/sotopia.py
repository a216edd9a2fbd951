"""Personas and price scenarios from sotopia's profiles.

The format is that of sotopia (Zhou et al. 2024): agent profiles, environment profiles whose two
goals belong to the first and the second agent, and pairings of an environment with two agents.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from pydantic import ValidationError

from cornerman.domain.battles.phrases import parse_prices
from cornerman.domain.errors import BadInputError
from cornerman.domain.personas import Persona, PriceTargets, Scenario, persona_id

Row = Mapping[str, Any]
NumberedRow = tuple[int, Row]

BARGAINS = "craigslist_bargains"
_TAG = re.compile(r"<[^>]+>")
_TARGET = re.compile(r"\btarget price\b", re.IGNORECASE)
# One letter of the big five each, as it shows in bargaining.
_BIG_FIVE = {
    ("Agreeableness", "Low"): "hard to please",
    ("Agreeableness", "High"): "eager to get along",
    ("Neuroticism", "High"): "easily upset",
    ("Neuroticism", "Low"): "calm",
    ("Extraversion", "High"): "talkative",
    ("Extraversion", "Low"): "reserved",
    ("Conscientiousness", "High"): "careful with details",
    ("Conscientiousness", "Low"): "careless with details",
    ("Openness to Experience", "High"): "curious",
    ("Openness to Experience", "Low"): "set in their ways",
}


def is_sotopia_profile(row: Row) -> bool:
    """Whether a row is one of sotopia's agent profiles."""
    return {"agent_id", "first_name", "public_info"} <= row.keys()


def sotopia_personas(
    rows: Sequence[NumberedRow],
    *,
    name: str,
    workflow_id: str,
    environments: Sequence[NumberedRow] = (),
    combos: Sequence[NumberedRow] = (),
) -> list[Persona]:
    """Make a persona of every profile, each with a price scenario when there are any.

    Raises:
        BadInputError: A profile lacks a field, or a scenario's goal names no target price.
    """
    scenarios = bargain_scenarios(environments)
    order = [_text(row, "agent_id", f"{name}, line {line}") for line, row in rows]
    met = assign_scenarios(order, list(scenarios), combos)
    return [
        _persona(row, f"{name}, line {line}", workflow_id, scenarios.get(met.get(agent, "")))
        for (line, row), agent in zip(rows, order, strict=True)
    ]


def bargain_scenarios(environments: Sequence[NumberedRow]) -> dict[str, Scenario]:
    """The price negotiations among environments, by id, in the order of their codenames.

    The agent sells and the persona buys, whichever goal comes first in the profile.
    """
    chosen = [(line, row) for line, row in environments if row.get("source") == BARGAINS]
    chosen.sort(key=lambda numbered: str(numbered[1].get("codename", "")))
    found = [_scenario(row, f"environment_profiles.jsonl, line {line}") for line, row in chosen]
    return {scenario.id: scenario for scenario in found}


def assign_scenarios(
    agents: Sequence[str], environments: Sequence[str], combos: Sequence[NumberedRow]
) -> dict[str, str]:
    """Which scenario each agent is met in, so that every scenario is met.

    A scenario goes to an agent that sotopia paired with it, the least used scenario first; agents
    without a pairing fill up the least used ones. Depends on the order of the rows alone.
    """
    paired: dict[str, list[str]] = {agent: [] for agent in agents}
    for _, combo in combos:
        environment = str(combo.get("env_id"))
        for agent in cast("list[object]", combo.get("agent_ids") or []):
            if environment in environments and str(agent) in paired:
                paired[str(agent)].append(environment)
    uses = dict.fromkeys(environments, 0)
    assigned: dict[str, str] = {}
    if not environments:
        return assigned
    # Agents with the fewest choices choose first, so that nobody takes the only one of another.
    for agent in sorted(agents, key=lambda a: (not paired[a], len(set(paired[a])))):
        options = paired[agent] or list(environments)
        choice = min(options, key=lambda e: (uses[e], environments.index(e)))
        uses[choice] += 1
        assigned[agent] = choice
    return assigned


def _scenario(row: Row, where: str) -> Scenario:
    goals = [_TAG.sub("", str(goal)) for goal in cast("list[object]", row.get("agent_goals") or [])]
    buyer = next((g for g in goals if re.search(r"\bbuyer\b", g, re.I)), None)
    seller = next((g for g in goals if re.search(r"\bseller\b", g, re.I)), None)
    if buyer is None or seller is None:
        raise BadInputError(
            f"{where}: agent_goals: expected one goal of the buyer and one of the seller, "
            f"but {goals!r:.120} came.",
            field="agent_goals",
        )
    description = _text(row, "scenario", where).replace("\\'", "'")
    listed = parse_prices(description)
    return Scenario(
        id=_text(row, "env_id", where),
        description=description,
        agent_goal=seller,
        persona_goal=buyer,
        agent_role="the seller",
        persona_role="the buyer",
        price_targets=PriceTargets(
            asking=listed[0].value if listed else None,
            buyer_target=target_price(buyer, where),
            seller_target=target_price(seller, where),
            agent_side="seller",
        ),
        metadata={"codename": row.get("codename", ""), "source": "sotopia"},
    )


def target_price(goal: str, where: str = "goal") -> float:
    """The price that a goal names as its target: the first one after those words.

    Raises:
        BadInputError: It names none.
    """
    found = _TARGET.search(goal)
    prices = parse_prices(goal[found.end() :]) if found else []
    if not prices:
        raise BadInputError(
            f"{where}: agent_goals: expected a target price such as 'target price is $40.0', "
            f"but {goal!r:.120} came.",
            field="agent_goals",
        )
    return prices[0].value


def _persona(row: Row, where: str, workflow_id: str, scenario: Scenario | None) -> Persona:
    agent_id = _text(row, "agent_id", where)
    name = f"{_text(row, 'first_name', where)} {row.get('last_name', '')}".strip()
    occupation = str(row.get("occupation", "")).strip()
    try:
        return Persona(
            id=persona_id(workflow_id, f"{name} {agent_id}"),
            name=name,
            description=". ".join(p for p in (occupation, str(row["public_info"])) if p),
            persona_type="sotopia",
            system_prompt=_prompt(row, name, occupation),
            characteristics=_characteristics(row),
            attack_patterns=_patterns(row),
            difficulty=_difficulty(row),
            workflow_id=workflow_id,
            scenario=scenario,
            metadata={"agent_id": agent_id},
        )
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"])
        raise BadInputError(f"{where}: {path}: {first['msg']}.", field=path) from error


def _prompt(row: Row, name: str, occupation: str) -> str:
    age = f"{row['age']} years old" if row.get("age") else ""
    who = ", ".join(part for part in (age, occupation.lower()) if part)
    lines = [
        f"You are {name}{', ' + who if who else ''}.",
        str(row["public_info"]),
        str(row.get("personality_and_values", "")),
    ]
    if row.get("decision_making_style"):
        lines.append(f"How you decide: {row['decision_making_style']}.")
    if row.get("secret"):
        lines.append(
            f"Your secret, which colours what you do and which you never tell: {row['secret']}."
        )
    lines.append("Speak as this person would, and go for your own goal.")
    return " ".join(line.strip() for line in lines if line.strip())


def _traits(row: Row) -> dict[str, str]:
    pairs = (part.rpartition(" - ") for part in str(row.get("big_five", "")).split(";"))
    return {trait.strip(): level.strip() for trait, _, level in pairs if trait.strip()}


def _characteristics(row: Row) -> list[str]:
    values = cast("list[object]", row.get("moral_values") or [])
    shown = [_BIG_FIVE[pair] for pair in _traits(row).items() if pair in _BIG_FIVE]
    return shown + [f"values {str(value).strip().lower()}" for value in values]


def _patterns(row: Row) -> list[str]:
    traits = _traits(row)
    patterns = ["names a lower price than the target first"]
    if traits.get("Agreeableness") == "Low":
        patterns.append("answers concessions with another demand")
    if traits.get("Neuroticism") == "High":
        patterns.append("threatens to leave when pressed")
    return patterns


def _difficulty(row: Row) -> int:
    """2, and one more for each trait that makes bargaining harder."""
    traits = _traits(row)
    hard = [("Agreeableness", "Low"), ("Neuroticism", "High"), ("Openness to Experience", "Low")]
    return 2 + sum(traits.get(trait) == level for trait, level in hard)


def _text(row: Row, key: str, where: str) -> str:
    value = row.get(key)
    if not isinstance(value, str) or not value.strip():
        raise BadInputError(
            f"{where}: {key}: expected text, but {value!r:.80} came.",
            field=key,
        )
    return value
