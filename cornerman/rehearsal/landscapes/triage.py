"""How the rehearsal agent reads a customer's message: by keywords, clause by clause.

Landscape `triage`: label a customer's message with one of eight labels.

The agent can read (see `triage_reading`), but has seven bad habits, each of which one rule in
the prompt mends. The demo runs on this task.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from cornerman.rehearsal.rules import Attempt, Feedback, Rule, answer_only, same_letters

LABELS = ("refund", "cancel", "delivery", "billing", "login", "bug", "complaint", "other")

_KEYWORDS: dict[str, str] = {
    "refund": r"refund\w*|money back|reimburs\w+|return (?:it|this|them|these|those)\b"
    r"|send (?:it|this|them|these) back|returning (?:it|this|them|these)",
    "cancel": r"cancel\w*|call (?:it |the order )?off|close my account|stop my (?:\w+ )?(?:plan"
    r"|order|subscription|membership)|end my (?:\w+ )?(?:plan|subscription|membership|trial)"
    r"|don't renew|not renew|turn off (?:the )?auto-?renew\w*",
    "delivery": r"deliver\w*|parcels?|packages?|couriers?|shipping|shipment|shipped|tracking"
    r"|has(?:n't| not) (?:arrived|come|turned up)|dispatch\w*|depot|doorstep",
    "billing": r"invoices?|bill(?:s|ed|ing)?\b|charg(?:e|es|ed|ing)\b|payments?|statement|vat"
    r"|direct debit|overcharg\w+|taken from my (?:card|account)",
    "login": r"log ?in\w*|logged out|log(?:ging)? (?:me )?in(?:to)?|sign(?:ing|ed)? (?:me )?in"
    r"|passwords?|locked out|verification code|two-factor|reset link|username",
    "bug": r"crash\w*|freez\w+|frozen|error (?:message|code|page|\d+)|glitch\w*"
    r"|blank (?:screen|page)|white screen|won't load|does nothing|spins? forever|bug",
    "complaint": r"rude\w*|unacceptable|disappoint\w+|terribl[ey]|awful\w*|appalling|complain\w*"
    r"|poor service|disgrace\w*|dreadful|shocking|ashamed|hung up on me|talked down to",
}
_MENTION = re.compile(
    "|".join(rf"(?P<{label}>\b(?:{words}))" for label, words in _KEYWORDS.items()), re.IGNORECASE
)
_NEGATION = re.compile(
    r"(?:\b(?:don't|do not|(?<!could )(?<!can )not|no|never|without|rather than|instead of|isn't"
    r"|is not|doesn't|nothing to do with)\b)"
    r"(?:\s+(?:want|need|asking|after|looking|about|for|to|a|an|my"
    r"|the|any|this|it's|another|problem|question|with|getting|be|about)){0,5}\s*$",
    re.IGNORECASE,
)
_LEAVING = re.compile(
    r"take (?:my|our) (?:business|money|custom)\b|(?:go|going|move|moving|switch|switching"
    r"|change|changing|off) (?:over )?to (?:a |another |your |one of your )?"
    r"(?:competitors?|rivals?|provider|supplier|shop|somebody else|someone else)"
    r"|(?:go|going|shop|shopping|look|looking|order|buy) (?:somewhere else|elsewhere)"
    r"|(?:lose|lost|losing) (?:me|us) as (?:a )?customers?"
    r"|this (?:is|was) (?:the|my|our) last (?:time|order|month)",
    re.IGNORECASE,
)
_PRAISE = re.compile(
    r"\b(?:great|brilliant|wonderful|fantastic|lovely|bravo|congratulations|well done|superb"
    r"|impressive|marvellous|genius|thanks a lot|thank you so much)\b",
    re.IGNORECASE,
)
_BITTER = re.compile(
    r"\b(?:only (?:took|waited|had)|hold music|third time|fourth time|five transfers|for hours"
    r"|(?:two|three|four|six) (?:hours|weeks|calls|transfers|agents)|as useful as|again, of course"
    r"|no reply|ignored|upside down|never answer\w*|nobody|wrong (?:size|one|colour) again)\b",
    re.IGNORECASE,
)
_WRONG_CHARGE = re.compile(
    r"\b(?:charged|billed|debited|paid|payment|charge)\b[^.?!]{0,40}\b(?:twice|two times|double"
    r"|duplicate|wrong amount|too much|never ordered|don't recognise|do not recognise)\b"
    r"|\bovercharged\b|\b(?:double|duplicate|second|wrong|unknown) (?:charge|payment)\b",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r"[.!?;\n]+|,? (?:but|so|and now|although|though)\b|, ")
_WISH = re.compile(
    r"\b(?:please|can (?:you|i|we)|could (?:you|i|we)|i want|we want|i'd like|i would like"
    r"|i'd rather|i need|we need|what i (?:want|need)|how do i|where is|go ahead and|kindly)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Reading:
    """What a message says, before any rule decides.

    Args:
        labels: The topics mentioned and meant, in order, each once.
        denied: Topics that the customer says it is not about, in order.
        wish: The topic of the last clause that asks for something, if any.
    """

    labels: tuple[str, ...]
    denied: tuple[str, ...]
    wish: str | None
    leaving: bool
    sarcastic: bool
    wrong_charge: bool

    @property
    def first(self) -> str:
        """The first topic mentioned."""
        return self.labels[0] if self.labels else "other"


@lru_cache(maxsize=4096)
def read_message(text: str) -> Reading:
    """Read a customer's message."""
    labels: dict[str, None] = {}
    denied: dict[str, None] = {}
    wish: str | None = None
    for clause in _CLAUSE.split(text.replace("’", "'")):
        meant = list[str]()
        for match in _MENTION.finditer(clause):
            negated = (
                _NEGATION.search(clause[max(0, match.start() - 80) : match.start()]) is not None
            )
            (denied.setdefault if negated else meant.append)(match.lastgroup or "other")
        labels.update(dict.fromkeys(meant))
        if meant and (asked := _WISH.search(clause)):
            wish = _topic_after(clause, asked.start()) or meant[0]
    return Reading(
        labels=tuple(labels),
        denied=tuple(denied),
        wish=wish,
        leaving=_LEAVING.search(text) is not None,
        sarcastic=bool(_PRAISE.search(text) and _BITTER.search(text)),
        wrong_charge=_WRONG_CHARGE.search(text) is not None,
    )


def _topic_after(clause: str, start: int) -> str | None:
    match = _MENTION.search(clause, start)
    return match.lastgroup if match else None


_TASK_WORDS = re.compile(r"\b(?:label|classif|categor|triage|intent|topic|tag)", re.IGNORECASE)
_FIGURE = re.compile(r"\d+")


def label_in(output: str) -> str | None:
    """The first known label that an answer names."""
    spots = {label: match.start() for label in LABELS if (match := _word(label).search(output))}
    return min(spots, key=spots.__getitem__) if spots else None


def _word(label: str) -> re.Pattern[str]:
    return re.compile(rf"\b{label}\b", re.IGNORECASE)


def _read_as(feedback: Feedback, output: str, expected: str | None = None) -> bool:
    wanted = expected is None or feedback.expected.strip() == expected
    return wanted and label_in(feedback.output) == output


def _denied_topic(feedback: Feedback) -> bool:
    return label_in(feedback.output) in read_message(feedback.text).denied


def _first_of_two(feedback: Feedback) -> bool:
    reading = read_message(feedback.text)
    found = label_in(feedback.output)
    both = found in reading.labels and feedback.expected.strip() in reading.labels
    return both and found != feedback.expected.strip()


def _capitalised(feedback: Feedback) -> bool:
    expected, output = feedback.expected.strip(), feedback.output.strip()
    return expected != output and same_letters(expected, output)


RULES = (
    answer_only("label"),
    Rule(
        name="lowercase",
        said=(
            r"\blower[- ]?case\b",
            r"\bexactly as (?:it is |they are )?(?:written|listed|spelled|given|shown)\b",
            r"\b(?:no|without|never use|avoid) capital",
            r"\b(?:not|never) capitali[sz]e\b",
            r"\bverbatim\b",
        ),
        denied=(r"(?<!not )(?<!never )\bcapitali[sz]e (?:the|each|every)\b", r"\btitle case\b"),
        contradictions=("Write labels in Title Case so that they look tidy.",),
        phrasings=(
            "Write the label in lowercase.",
            "Write labels exactly as listed, without capital letters.",
            "Use lower-case letters throughout.",
        ),
        symptom=_capitalised,
    ),
    Rule(
        name="current_wish",
        said=(
            r"\bwants? (?:to have |to get )?done\b",
            r"\b(?:more than one|two|several|multiple) (?:\w+ )?"
            r"(?:intents?|requests?|topics?|things|issues|problems|matters)\b",
            r"\b(?:main|actual|current|final|latest|last) (?:request|intent|ask|wish)\b",
            r"\baction (?:that )?(?:the customer|they) (?:wants?|asks?)",
            r"\b(?:asks?|wants?) (?:us|you) to do\b",
        ),
        denied=(r"(?<!not )(?<!never )\b(?:take|use|choose|pick) (?:only )?the first\b",),
        contradictions=("Always use the first topic in the message.",),
        phrasings=(
            "If a message holds more than one topic, label what the customer wants done now.",
            "When two issues come up, go by the customer's actual request, even if it comes last.",
            "Judge by the action the customer asks for, rather than by what went before.",
        ),
        symptom=_first_of_two,
    ),
    Rule(
        name="threat",
        said=(
            r"\b(?:threat\w*|leav(?:e|ing)|switch\w*|competitors?|rivals?|elsewhere)\b"
            r"[^.]{0,80}\bcancel\b",
            r"\bcancel\b[^.]{0,80}\b(?:threat\w*|leav(?:e|ing)|switch\w*|competitor|elsewhere)",
        ),
        denied=(r"\b(?:threat\w*|leav(?:e|ing))\b[^.]{0,60}\bcomplaint\b",),
        contradictions=("Customers who talk of leaving are a complaint.",),
        phrasings=(
            "A threat to leave or to go to a competitor counts as cancel.",
            "Customers who say that they will switch to someone else get the label cancel.",
            "Use cancel when somebody announces that they are leaving.",
        ),
        symptom=lambda feedback: _read_as(feedback, "complaint", "cancel"),
    ),
    Rule(
        name="sarcasm",
        said=(r"\bsarcas\w+", r"\biron(?:y|ic\w*)\b", r"\bmock(?:ing)? praise\b"),
        denied=(r"\bat face value\b", r"\btake (?:praise|words) literally\b"),
        contradictions=("Take every message at face value.",),
        phrasings=(
            "Sarcastic praise is a complaint.",
            "Watch for irony: mocking praise means complaint.",
            "Treat sarcasm as a complaint, however kind the words sound.",
        ),
        symptom=lambda feedback: _read_as(feedback, "other", "complaint"),
    ),
    Rule(
        name="wrong_charge",
        said=(
            r"\b(?:charged|billed|overcharg\w+|charges?|payments?)\b[^.]{0,80}\bbilling\b",
            r"\bbilling\b[^.]{0,80}\b(?:charged|overcharg\w+|double|duplicate|wrong|charges)\b",
        ),
        denied=(r"\bmoney back is always (?:a )?refund\b",),
        contradictions=("Anybody who asks for money back is always refund.",),
        phrasings=(
            "Double or wrong charges are billing, even when the customer wants the money back.",
            "If somebody was charged twice or too much, the label is billing.",
            "Use billing for mistaken charges of any kind.",
        ),
        symptom=lambda feedback: _read_as(feedback, "refund", "billing"),
    ),
    Rule(
        name="negation",
        said=(
            r"\b(?:do|does|did)(?:n't| not) want\b",
            r"\bnegat(?:ed|ions?)\b",
            r"\b(?:rules?|ruled|ruling) out\b",
            r"\bsays? (?:that )?(?:it|they|the message) (?:is|are) not\b",
        ),
        phrasings=(
            "Ignore topics that the customer says they do not want.",
            "Mind negations: a topic that is only denied is not the label.",
            "Leave aside whatever the customer has ruled out.",
        ),
        symptom=_denied_topic,
    ),
    Rule(
        name="broken_login",
        said=(
            r"\b(?:crash\w*|error\w*|freez\w*|faults?|technical|broken)\b[^.]{0,80}\bbug\b",
            r"\bbug\b[^.]{0,80}\b(?:crash\w*|error|freez\w*|technical fault)",
        ),
        phrasings=(
            "Crashes and error messages are a bug, even on the sign-in page.",
            "If the page freezes or shows an error while signing in, that is a bug.",
            "Use bug whenever something crashes or breaks, wherever it happens.",
        ),
        symptom=lambda feedback: _read_as(feedback, "login", "bug"),
    ),
)


class Triage:
    """The landscape; see the module's docstring."""

    name = "triage"
    rules = RULES

    def fits(self, prompt: str, text: str) -> bool:
        if _TASK_WORDS.search(prompt):
            return True
        # Two figures and a question make a word problem, whatever else it mentions.
        return bool(read_message(text).labels) and len(_FIGURE.findall(text)) < 2

    def answer(self, attempt: Attempt) -> str:
        label = choose_label(attempt)
        # Habits of form come last: they spoil a right label and a wrong one alike.
        if attempt.slips("answer_only", 0.20):
            return f"This looks like a message about {label}."
        return label.capitalize() if attempt.slips("lowercase", 0.16) else label


def choose_label(attempt: Attempt) -> str:
    """The label that the agent arrives at under the rules that it follows."""
    reading = read_message(attempt.text)
    right = _best_label(reading)
    if attempt.misread:
        return attempt.luck.pick([label for label in LABELS if label != right], "wrong label")
    return _habit(reading, right, attempt) or right


def _best_label(reading: Reading) -> str:
    if reading.leaving:
        return "cancel"
    if reading.sarcastic:
        return "complaint"
    if reading.wrong_charge:
        return "billing"
    if "login" in reading.labels and "bug" in reading.labels:
        return "bug"
    return reading.wish or reading.first


def _habit(reading: Reading, right: str, attempt: Attempt) -> str | None:
    """The wrong label that a bad habit leads to, or None when no habit applies."""
    if reading.leaving and not attempt.follows("threat"):
        return "complaint"
    if reading.sarcastic and not attempt.follows("sarcasm"):
        return "other"
    if reading.wrong_charge and "refund" in reading.labels and not attempt.follows("wrong_charge"):
        return "refund"
    if {"login", "bug"} <= set(reading.labels) and not attempt.follows("broken_login"):
        return "login"
    if reading.denied and right not in reading.denied and not attempt.follows("negation"):
        return reading.denied[0]
    return None if attempt.follows("current_wish") else _first_label(reading, right)


def _first_label(reading: Reading, right: str) -> str | None:
    settled = reading.leaving or reading.sarcastic or reading.wrong_charge or right == "bug"
    return None if settled else reading.first
