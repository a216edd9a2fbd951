"""What may be named is decided before it is imported."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cornerman.domain.entrypoints import check_entrypoint, is_allowed, load_entrypoint
from cornerman.domain.errors import BadInputError, EntrypointRefusedError


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("entrypoint", "prefixes", "allowed"),
    [
        ("exact_match", [], True),
        ("cornerman.evaluators.text:ExactMatch", [], True),
        ("cornerman.evaluators_evil:x", [], False),
        ("acme:x", ["acme"], True),
        ("acme.deep.er:x", [" acme "], True),
        ("acme_evil:x", ["acme"], False),
        ("acme:x", ["acme.deep"], False),
        ("acme:x", ["", "."], False),
    ],
)
def test_a_prefix_allows_a_package_and_what_is_in_it(
    entrypoint: str, prefixes: list[str], allowed: bool
) -> None:
    assert is_allowed(entrypoint, prefixes) is allowed


def test_refuses_popen_and_says_how_to_allow_a_module() -> None:
    with pytest.raises(EntrypointRefusedError, match="refused and not imported") as caught:
        load_entrypoint("subprocess:Popen", ["acme"], "evaluators.0.entrypoint")
    assert caught.value.field == "evaluators.0.entrypoint"
    assert "EVALUATOR_MODULES=" in caught.value.hint


def test_never_imports_what_it_refuses(modules: Path) -> None:
    trace = modules / "imported"
    source = f"from pathlib import Path\nPath({str(trace)!r}).touch()\ndef f(c): return 1\n"
    (modules / "sneaky_module.py").write_text(source)
    with pytest.raises(EntrypointRefusedError):
        load_entrypoint("sneaky_module:f", ["acme"], "graph_config.entrypoint")
    assert not trace.exists()
    assert "sneaky_module" not in sys.modules
    assert callable(load_entrypoint("sneaky_module:f", ["sneaky_module"], "x"))
    assert trace.exists()


@pytest.mark.parametrize(
    "text",
    ["", "acme", "acme:", ":x", "acme:x:y", "acme:os.system", "acme..b:x", "a b:c", "../a:b"],
)
def test_refuses_malformed_entrypoints(text: str) -> None:
    with pytest.raises(EntrypointRefusedError, match='"module:name"'):
        check_entrypoint(text, ["acme"], "field")


def test_an_allowed_module_does_not_offer_what_it_imports(modules: Path) -> None:
    (modules / "borrower.py").write_text("from subprocess import Popen\nfrom os import system\n")
    for name in ("Popen", "system"):
        with pytest.raises(EntrypointRefusedError, match="defined in"):
            load_entrypoint(f"borrower:{name}", ["borrower"], "field")


def test_names_what_is_missing_or_broken(modules: Path) -> None:
    (modules / "healthy_module.py").write_text("def polite(c): return 1\n")
    (modules / "broken_module.py").write_text("1 / 0\n")
    with pytest.raises(BadInputError, match=r"did you mean polite\?"):
        load_entrypoint("healthy_module:polit", ["healthy_module"], "field")
    with pytest.raises(BadInputError, match="broken_module failed: ZeroDivisionError"):
        load_entrypoint("broken_module:x", ["broken_module"], "field")
    with pytest.raises(BadInputError, match="No module named") as caught:
        load_entrypoint("gone_module:x", ["gone_module"], "field")
    assert "PYTHONPATH" in caught.value.hint


def test_a_name_that_an_earlier_version_stored_is_still_known() -> None:
    assert check_entrypoint("tasks.battle_agent:hold_battle", [], "agent") == (
        "cornerman.tasks.battle_agent",
        "hold_battle",
    )


def test_a_users_own_module_of_a_former_name_is_theirs() -> None:
    assert check_entrypoint("tasks.battle_agent:hold_battle", ["tasks"], "agent") == (
        "tasks.battle_agent",
        "hold_battle",
    )
