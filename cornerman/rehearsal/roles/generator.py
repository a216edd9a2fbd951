"""The roles of the persona, a battle's other side, and of the generator, who invents personas."""

from __future__ import annotations

import re
from typing import Any

from cornerman.rehearsal.battle import is_negotiation, negotiation, support
from cornerman.rehearsal.request import ChatRequest
from cornerman.rehearsal.words import Chance


def reply(request: ChatRequest, server_seed: int) -> str:
    """The persona's next line."""
    talk = negotiation.persona_reply if is_negotiation(request) else support.customer_reply
    return talk(request, request.chance(server_seed))


_COUNT = re.compile(
    r"\b(\d{1,3}|one|two|three|four|five|six|seven|eight|nine|ten)\b[^.\n]{0,40}\bpersonas?\b",
    re.IGNORECASE,
)
_WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_MOST = 50

_NAMES = ("Amal", "Bruno", "Chiara", "Dewi", "Edith", "Farid", "Greta", "Hiro", "Imani", "Jonas",
          "Katya", "Liam", "Mireille", "Nadia", "Oskar", "Priya", "Quentin", "Rosa", "Sven",
          "Tariq", "Uma", "Viktor", "Wanda", "Yusuf", "Zofia")  # fmt: skip
_TRADES = ("baker", "nurse", "taxi driver", "retired judge", "music student", "landlord",
           "beekeeper", "accountant", "chess coach", "shop owner", "translator", "electrician",
           "gardener", "data clerk", "ship's cook", "art dealer")  # fmt: skip
_KINDS: dict[str, tuple[str, list[str], list[str]]] = {
    "haggler": ("bargains for every coin", ["thrifty", "patient"],
                ["lowball opening", "split the difference"]),
    "skeptic": ("doubts whatever is not proven", ["precise", "distrustful"],
                ["ask for proof", "quote bad reviews"]),
    "angry": ("is angry before the talk begins", ["loud", "impatient"],
              ["threaten to leave", "insult"]),
    "silent": ("answers in few words and waits", ["quiet", "observant"],
               ["silence", "one-word answers"]),
    "vague": ("never quite says what is wanted", ["indecisive", "mild"],
              ["unclear wishes", "changing the goal"]),
    "off_topic": ("is chatty and drifts off-topic", ["talkative", "warm"],
                  ["change of subject", "small talk"]),
    "prompt_injector": ("tries to inject instructions into the talk", ["cunning", "technical"],
                        ["ignore previous instructions", "fake system message"]),
    "multilingual": ("switches languages between Spanish, French and German", ["lively", "witty"],
                     ["switch language", "false friends"]),
    "hurried": ("is in a hurry and says so", ["busy", "curt"], ["deadline pressure", "ultimatum"]),
}  # fmt: skip


def personas(request: ChatRequest, server_seed: int) -> dict[str, Any]:
    """As many personas as the request asks for (3 when it names no number)."""
    chance = request.chance(server_seed)
    text = "\n".join(m.content for m in request.messages)[:24_000]
    count = _count_in(text)
    made = [_persona(chance, number) for number in range(count)]
    return {"personas": made}


def _count_in(text: str) -> int:
    found = _COUNT.search(text)
    if not found:
        return 3
    word = found[1].lower()
    number = _WORDS.index(word) + 1 if word in _WORDS else int(word)
    return max(1, min(_MOST, number))


def _persona(chance: Chance, number: int) -> dict[str, Any]:
    kinds = list(_KINDS)
    # Walking through the lists from a drawn start keeps one reply's personas distinct.
    kind = kinds[(int(chance.draw("kind") * len(kinds)) + number) % len(kinds)]
    name = _NAMES[(int(chance.draw("name") * len(_NAMES)) + number) % len(_NAMES)]
    trade = chance.pick(_TRADES, "trade", number)
    manner, traits, attacks = _KINDS[kind]
    difficulty = 1 + int(chance.draw("difficulty", number) * 5)
    label = f"{name} the {trade}"
    article = "an" if trade[0] in "aeiou" else "a"
    return {
        "name": f"{label} ({number // len(_NAMES) + 1})" if number >= len(_NAMES) else label,
        "description": f"{article.capitalize()} {trade} who {manner}.",
        "persona_type": kind,
        "system_prompt": (
            f"You are {name}, {article} {trade} who {manner}. Stay in character, be "
            f"{' and '.join(traits)}, and use these moves: {', '.join(attacks)}."
        ),
        "characteristics": traits,
        "attack_patterns": attacks,
        "difficulty": difficulty,
    }
