"""What is made of another tool's file: cases, and by number and reason what could not be."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cornerman.domain.datasets.chat import ChatFormError, Talk
from cornerman.domain.json_values import json_fault
from cornerman.domain.texts import counted

_LONGEST_ID = 200


@dataclass
class Made:
    """Cases in the form of a dataset's file, and an account of every record.

    Args:
        cases: `{"id", "inputs", "expected_output", "metadata"}`; ids are unique.
        records: How many were looked at; each is a case, or counted in `skipped`.
        skipped: By reason.
        notes: What a reader must know besides, such as what only partly became a case.
        prompts: Texts of prompts that stood beside the records, in our way of placeholders.
    """

    cases: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    records: int = 0
    skipped: Counter[str] = field(default_factory=Counter[str])
    notes: list[str] = field(default_factory=list[str])
    prompts: list[str] = field(default_factory=list[str])
    _first: dict[str, str] = field(default_factory=dict[str, str])
    _ids: Counter[str] = field(default_factory=Counter[str])
    _system: dict[int, str] = field(default_factory=dict[int, str])

    def add(
        self,
        place: str,
        inputs: dict[str, Any],
        expected: Any,
        *,
        given_id: Any = None,
        metadata: Mapping[str, Any] | None = None,
        system: str = "",
    ) -> None:
        """Keep a record as a case, or count it where no database could hold it."""
        self.records += 1
        case: dict[str, Any] = {"id": "", "inputs": inputs, "expected_output": expected}
        kept = {k: v for k, v in (metadata or {}).items() if v not in (None, "", [], {})}
        if kept:
            case["metadata"] = kept
        fault = json_fault(case)
        if fault is not None:
            self._count(f"cannot be stored ({fault[1]})", place)
            return
        case["id"] = self._unique(given_id)
        if system:
            self._system[len(self.cases)] = system
        self.cases.append(case)

    def add_talk(
        self,
        place: str,
        talk: Talk,
        *,
        expected: Any = None,
        given_id: Any = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Keep a conversation as a case."""
        answer = talk.answer if expected is None else expected
        self.add(
            place,
            {"messages": talk.messages},
            answer,
            given_id=given_id,
            metadata=metadata,
            system=talk.system,
        )

    def skip(self, reason: str | ChatFormError, place: str) -> None:
        """Count a record of which no case can be made."""
        self.records += 1
        self._count(reason if isinstance(reason, str) else reason.kind, place)

    def _count(self, reason: str, place: str) -> None:
        self.skipped[reason] += 1
        self._first.setdefault(reason, place)

    def _unique(self, given: Any) -> str:
        name = str(given) if given not in (None, "") else str(len(self.cases))
        name = name[:_LONGEST_ID]
        self._ids[name] += 1
        if self._ids[name] == 1:
            return name
        return self._unique(f"{name}-{self._ids[name]}")

    def finish(self) -> Made:
        """Put system messages where they belong, and count repeated cases.

        One that is the same everywhere is the prompt, which is trained; several hold what differs
        from case to case, so they stay inputs.
        """
        texts = set(self._system.values())
        for number, text in self._system.items():
            case = self.cases[number]
            if len(texts) == 1:
                case.setdefault("metadata", {})["system"] = text
            else:
                case["inputs"]["system"] = text
        if len(texts) == 1:
            self.prompts.extend(texts)
            self.notes.append(
                f"the same system message in {counted(len(self._system), 'case')}, kept in "
                "metadata.system; begin your spec's prompt with it"
            )
        elif texts:
            self.notes.append(
                f"{len(texts)} different system messages in {counted(len(self._system), 'case')}, "
                "kept as the input `system`; a prompt may say {system}"
            )
        content = Counter(
            json.dumps([case["inputs"], case["expected_output"]], sort_keys=True)
            for case in self.cases
        )
        repeated = sum(count - 1 for count in content.values())
        if repeated:
            self.notes.append(
                f"{counted(repeated, 'case')} like another one; see: cornerman dataset check"
            )
        return self

    def skipped_words(self) -> list[str]:
        """One line for each reason, such as `12 of 40 skipped: no output (first: line 3)`."""
        return [
            f"{count} of {self.records} skipped: {reason} (first: {self._first[reason]})"
            for reason, count in self.skipped.most_common()
        ]
