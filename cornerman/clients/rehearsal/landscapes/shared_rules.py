"""Rules that several landscapes have in common."""

from __future__ import annotations

from cornerman.clients.rehearsal.rules import Rule, is_wordy

ONLY_SAID = (
    r"\bonly (?:with )?(?:the|one|a|that) (?:\w+ ){0,2}(?:label|number|answer|result|value|fields)",
    r"\b(?:label|number|answer|result|value|fields)s? (?:only|alone|itself)\b",
    r"\bjust the (?:\w+ )?(?:label|number|answer|result|value|fields)\b",
    r"\bnothing (?:else|more|but|besides)\b",
    r"\bno (?:other|extra|additional|further|surrounding) (?:text|words?|commentary)\b",
    r"\b(?:a )?single (?:word|number)\b",
    r"\bwithout (?:any )?(?:explanation|sentence|commentary|extra words|other words)\b",
    r"\b(?:no|avoid) (?:explanations?|full sentences?|commentary)\b",
)
ONLY_DENIED = (
    r"(?<!not )(?<!n't )\bexplain (?:your|the|why|how)\b",
    r"\b(?:answer|reply|respond) in (?:a )?(?:full|complete|friendly) sentences?\b",
)
ONLY_CONTRADICTIONS = (
    "Reply in full sentences and explain your reasoning to the reader.",
    "Always explain why you decided as you did.",
)


def answer_only(thing: str) -> Rule:
    """The rule that the reply is the bare label, number or whatever `thing` names."""
    return Rule(
        name="answer_only",
        said=ONLY_SAID,
        denied=ONLY_DENIED,
        contradictions=ONLY_CONTRADICTIONS,
        phrasings=(
            f"Answer with the {thing} only, no other words.",
            f"Reply with just the {thing} and nothing else.",
            f"Output only the {thing}, without any explanation.",
        ),
        symptom=is_wordy,
    )
