"""Which code a request may name, decided before any of it is imported."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from importlib import import_module
from inspect import isbuiltin, isclass, isfunction
from typing import Any

from cornerman.domain.errors import BadInputError, EntrypointRefusedError
from cornerman.domain.json_values import shown

ALWAYS_ALLOWED = "cornerman.evaluators"
# Cornerman's own too: battles as cases, and the strategy that tries a tactic.
_OWN_MODULES = (ALWAYS_ALLOWED, "cornerman.tasks.battle_agent", "cornerman.optimizers.tactic")
# As version 0.1.0 stored them with its runs.
_FORMER_NAMES = {
    "tasks.battle_agent:hold_battle": "cornerman.tasks.battle_agent:hold_battle",
    "cornerman.evaluators.battle:BattleScore": "cornerman.tasks.battle_agent:BattleScore",
}
STRATEGIES = ("reflective", "few_shot", "textual_gradient", "gepa")
# Evaluators whose expected output describes an answer (a pattern, calls of tools) and is none.
EXPECTS_MORE = frozenset({"regex", "tool_calls", "json_schema"})
BUILTIN_EVALUATORS = {
    "exact_match": f"{ALWAYS_ALLOWED}.text:ExactMatch",
    "contains": f"{ALWAYS_ALLOWED}.text:Contains",
    "regex": f"{ALWAYS_ALLOWED}.text:Regex",
    "numeric": f"{ALWAYS_ALLOWED}.numeric:Numeric",
    "tool_calls": f"{ALWAYS_ALLOWED}.tool_calls:ToolCalls",
    "json_schema": f"{ALWAYS_ALLOWED}.json_schema:JsonSchema",
    "llm_judge": f"{ALWAYS_ALLOWED}.llm_judge:LlmJudge",
}
_DOTTED = r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*"
# The name has no dots: `mine:os.system` would walk out of an allowed module.
_ENTRYPOINT = re.compile(rf"({_DOTTED}):([A-Za-z_][A-Za-z0-9_]*)")


def syntax_fault(text: str, short_names: Iterable[str] = ()) -> str | None:
    """Return what is wrong with an entrypoint's form, or None. Imports nothing."""
    names = list(short_names)
    if text in names or _ENTRYPOINT.fullmatch(text):
        return None
    near = difflib.get_close_matches(text, names, n=1)
    guess = f"; did you mean {near[0]}?" if near else ""
    known = f"one of {', '.join(names)}, or " if names else ""
    return f'{shown(text)} is not {known}"module:name"{guess}'


def is_allowed(entrypoint: str, prefixes: Sequence[str]) -> bool:
    """Whether an entrypoint's module lies under an allowed prefix.

    Args:
        entrypoint: `module:name`, a module alone, or a built-in evaluator's short name.
        prefixes: Modules or packages; `acme` allows `acme` and `acme.x`, not `acme_x`.
    """
    module = BUILTIN_EVALUATORS.get(entrypoint, entrypoint).partition(":")[0]
    allowed = [*_OWN_MODULES, *(prefix.strip().rstrip(".") for prefix in prefixes)]
    return any(module == prefix or module.startswith(prefix + ".") for prefix in allowed if prefix)


def check_entrypoint(text: str, prefixes: Sequence[str], field: str) -> tuple[str, str]:
    """Return an entrypoint's module and name, without importing anything.

    Args:
        text: `module:name`, or a built-in evaluator's short name.
        prefixes: The allow-list of the settings (`EVALUATOR_MODULES`).
        field: Path of the request's field, for the message.

    Raises:
        EntrypointRefusedError: It is malformed or its module is not on the allow-list.
    """
    fault = syntax_fault(text, BUILTIN_EVALUATORS)
    if fault:
        raise EntrypointRefusedError(f"{field}: {fault}", field=field)
    module, _, name = _present_name(text, prefixes).partition(":")
    if not is_allowed(module, prefixes):
        listed = ", ".join([ALWAYS_ALLOWED, *prefixes])
        raise EntrypointRefusedError(
            f"{field}: {shown(text)} was refused and not imported: module {module} is not on the "
            f"allow-list ({listed})",
            field=field,
            hint=f"If you trust it, add it to the settings: EVALUATOR_MODULES={module}",
        )
    return module, name


def _present_name(text: str, prefixes: Sequence[str]) -> str:
    former = _FORMER_NAMES.get(text)
    # A module of the user's own that they allow by that name is theirs.
    if former is None or any(text.startswith((f"{prefix}.", f"{prefix}:")) for prefix in prefixes):
        return BUILTIN_EVALUATORS.get(text, text)
    return former


def load_entrypoint(text: str, prefixes: Sequence[str], field: str) -> Any:
    """Import an allowed entrypoint and return what it names.

    Raises:
        EntrypointRefusedError: As `check_entrypoint`; or the name stands for a function or class
            that was made in a module outside the allow-list.
        BadInputError: The module cannot be imported, or has no such name.
    """
    module_name, name = check_entrypoint(text, prefixes, field)
    module = _import(module_name, field)
    try:
        found = getattr(module, name)
    except AttributeError:
        raise BadInputError(_no_such_name(module, name, field), field=field) from None
    _refuse_foreign(found, text, prefixes, field)
    return found


def _import(module_name: str, field: str) -> Any:
    try:
        return import_module(module_name)
    except Exception as error:
        # A module's own code runs here and may raise anything; the user must learn what.
        raise BadInputError(
            f"{field}: importing {module_name} failed: {type(error).__name__}: {error}",
            field=field,
            hint="Is it installed in this environment, or its folder on PYTHONPATH?",
        ) from error


def _no_such_name(module: Any, name: str, field: str) -> str:
    names = [key for key, value in vars(module).items() if callable(value) and key[0] != "_"]
    near = difflib.get_close_matches(name, names, n=1)
    guess = f"; did you mean {near[0]}?" if near else f"; it has {', '.join(sorted(names)[:10])}"
    return f"{field}: module {module.__name__} has no {name!r}{guess if names else ''}"


def _refuse_foreign(found: Any, text: str, prefixes: Sequence[str], field: str) -> None:
    # An allowed module that says `from subprocess import Popen` does not offer Popen.
    if not (isfunction(found) or isclass(found) or isbuiltin(found)):
        return
    home = getattr(found, "__module__", None) or ""
    if not is_allowed(home, prefixes):
        raise EntrypointRefusedError(
            f"{field}: {shown(text)} was refused: it is defined in {home}, which is not on the "
            "allow-list",
            field=field,
        )
