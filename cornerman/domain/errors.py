"""Every error that Cornerman raises on purpose, one family per subject.

An error's message says what was expected, what came, and what mends it. The facts are
attributes too, so that the command line, the gateway and the logs need not parse text.
"""

from __future__ import annotations

from typing import Any

from cornerman.domain.secrets import redact


class CornermanError(Exception):
    """Base of all errors that Cornerman raises on purpose.

    Args:
        message: What was expected and what came.
        hint: The command, setting or field that mends it; empty when nothing can.
    """

    code = "error"
    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        # Errors quote what users' code said, which may hold a key.
        self.message = redact(message)
        self.hint = redact(hint)
        super().__init__(self.message)

    def __reduce__(self) -> Any:
        # By its facts: to call a family's own constructor again takes more than the message.
        return _rebuilt, (type(self), self.args, self.__dict__)


def _rebuilt(kind: type[CornermanError], args: tuple[Any, ...], facts: dict[str, Any]) -> Any:
    """An error as another process raised it."""
    error = kind.__new__(kind, *args)
    error.__dict__.update(facts)
    return error


class BadInputError(CornermanError):
    """A request, file or option that cannot be accepted as it came.

    Args:
        field: Path of the offending field, such as `optimizer.epochs`.
    """

    code = "bad_input"
    exit_code = 2

    def __init__(self, message: str, *, field: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.field = field


class NotFoundError(BadInputError):
    """Something was named that does not exist."""

    code = "not_found"


class EntrypointRefusedError(BadInputError):
    """An entrypoint outside the allow-list; it was not imported."""

    code = "entrypoint_refused"


class SettingsError(BadInputError):
    """A setting is missing or does not hold what it must."""

    code = "settings"


class StorageError(CornermanError):
    """The database cannot be used as it is."""

    code = "storage"


class SchemaOutdatedError(StorageError):
    """The database's schema is not the one this version works with."""

    code = "schema_outdated"


class ConflictError(CornermanError):
    """Something of the same name runs or exists already; `existing_id` names it."""

    code = "conflict"

    def __init__(self, message: str, *, existing_id: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.existing_id = existing_id


class StopError(CornermanError):
    """A run must start no more work. `stopped_by` is what the result says."""

    stopped_by = "stopped"
    exit_code = 3


class BudgetExceededError(StopError):
    """The next call's worst case does not fit a budget any more.

    Args:
        scope: The budget's name, such as `run:…` or `day:2026-01-31`.
        limit_usd: The budget.
        spent_usd: What is spent and cannot come back.
        needed_usd: The worst case of the refused call.
    """

    code = "budget"
    stopped_by = "budget"

    def __init__(
        self, scope: str, *, limit_usd: float, spent_usd: float, needed_usd: float
    ) -> None:
        super().__init__(
            f"Budget {scope} of ${limit_usd:.6f} has ${spent_usd:.6f} spent; the next call may "
            f"cost up to ${needed_usd:.6f}, so it was not made.",
            hint="Raise the budget, or lower max tokens, cases, epochs or the batch size.",
        )
        self.scope = scope
        self.limit_usd = limit_usd
        self.spent_usd = spent_usd
        self.needed_usd = needed_usd


class KillSwitchActiveError(StopError):
    """The kill-switch is on: no paid call is started by any process."""

    code = "kill_switch"
    stopped_by = "kill_switch"

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"The kill-switch is on: {reason}",
            hint="Look into the reason, then: cornerman kill-switch off",
        )
        self.reason = reason


class RunCancelledError(StopError):
    """Somebody asked for this run to end."""

    code = "cancelled"
    stopped_by = "cancelled"
    exit_code = 1


class LLMError(CornermanError):
    """A model call that gave no usable answer.

    Args:
        kind: One of `timeout`, `rate_limited`, `server_error`, `connection`, `malformed`,
            `truncated`, `refused` (a 4xx that a retry does not mend), `schema`.
        status_code: HTTP status, when there was one.
        retry_after_seconds: What the server asked for, when it did.
        out_of_tokens: The answer found no room under the largest limit, so asking again is
            wasted; its case is recorded with `truncated` as the error's type.
    """

    code = "llm"

    def __init__(
        self,
        message: str,
        *,
        kind: str,
        status_code: int | None = None,
        retry_after_seconds: float | None = None,
        out_of_tokens: bool = False,
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.kind = kind
        self.out_of_tokens = out_of_tokens
        self.error_type = "truncated" if out_of_tokens else type(self).__name__
        self.status_code = status_code
        self.retry_after_seconds = retry_after_seconds

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed later."""
        return not self.out_of_tokens and self.kind not in {"refused", "schema"}


class JudgeRefusedError(CornermanError):
    """A judge agrees with people's labels too little to be relied on.

    Args:
        facts: What was measured, as the event `judge_checked` has it.
    """

    code = "judge_refused"

    def __init__(self, message: str, *, facts: dict[str, Any], hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.facts = facts


class UnpricedModelError(BadInputError):
    """A model has no price, so no budget could hold it."""

    code = "unpriced_model"

    def __init__(self, model: str) -> None:
        super().__init__(
            f"No price is known for model {model!r}, so a budget could not hold it.",
            field="MODEL_PRICES",
            hint=f'Add to the environment: MODEL_PRICES={{"{model}": {{"input": 0.15, '
            '"output": 0.60}} (USD per million tokens)',
        )
        self.model = model
