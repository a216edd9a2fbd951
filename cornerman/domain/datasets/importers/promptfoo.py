"""promptfoo's tests: a config in YAML or JSON with what it refers to, or a file of tests alone.

Nothing is run and nothing is fetched: tests made by code or kept at an address are counted.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from cornerman.domain.datasets.content import bad_file, ending_of
from cornerman.domain.datasets.importers.made import Made
from cornerman.domain.datasets.importers.promptfoo_asserts import (
    asserts_of,
    evaluators_note,
    expected_of,
)
from cornerman.domain.datasets.importers.promptfoo_files import (
    Folder,
    Place,
    as_list,
    as_map,
    read_document,
    without_scheme,
)
from cornerman.domain.texts import counted

ENDINGS = (".yaml", ".yml", ".json", ".jsonl", ".csv")

_PLACEHOLDER = re.compile(r"\{\{-?\s*([A-Za-z_][A-Za-z0-9_]*)\s*-?\}\}")
_MOST_COMBINATIONS = 10_000


def import_promptfoo(path: Path) -> Made:
    """Make a case of each test, and of each combination where a variable has several values.

    The variables are the inputs. The expected output is what `equals` names, else the reference
    of a graded assertion, else what `contains` looks for; all assertions stay in
    `metadata.assert`.

    Raises:
        BadInputError: A file that the config refers to cannot be read.
    """
    made, folder = Made(), Folder(path.resolve().parent)
    config = _config(path)
    default = _default_test(folder, config.get("defaultTest"))
    templates = as_map(config.get("assertionTemplates"))
    types, without = Counter[str](), 0
    for place, test in _tests(folder, path.name, config):
        if isinstance(test, str):
            made.skip(test, place)
            continue
        asserts = [
            {**one, "value": folder.value(one["value"])} if "value" in one else one
            for one in asserts_of(default, test, templates)
        ]
        types.update(str(one.get("type")) for one in asserts)
        for inputs in _combinations(folder, place, default, test):
            before = len(made.cases)
            _add(made, place, test, inputs, asserts)
            without += len(made.cases) > before and made.cases[-1]["expected_output"] is None
    made.prompts += _prompts(folder, config.get("prompts"))
    made.notes += evaluators_note(types, without)
    if folder.kept:
        made.notes.append(
            f"{counted(folder.kept, 'reference')} to a file that is no text, left as it is, such "
            f"as {folder.kept_first}"
        )
    return made


def _config(path: Path) -> Mapping[str, Any]:
    if ending_of(path)[0] not in (".yaml", ".yml", ".json"):
        return {"tests": path.name}
    document = read_document(path)
    if isinstance(document, list):
        return {"tests": document}
    if not isinstance(document, Mapping):
        raise bad_file(f"{path.name} is no promptfoo config: it holds no object and no list")
    config = cast("Mapping[str, Any]", document)
    # Results of an evaluation hold the config that it ran.
    if "results" in config and isinstance(config.get("config"), Mapping):
        config = as_map(config["config"])
    if not any(name in config for name in ("tests", "scenarios", "vars", "defaultTest")):
        raise bad_file(f"{path.name} is no promptfoo config: it has neither tests nor scenarios")
    return config


def _default_test(folder: Folder, held: Any) -> Mapping[str, Any]:
    if isinstance(held, str):
        return as_map(read_document(folder.file(held)))
    return as_map(held)


def _tests(folder: Folder, name: str, config: Mapping[str, Any]) -> Iterator[tuple[Place, Any]]:
    yield from folder.tests(config.get("tests"), name)
    for number, held in enumerate(as_list(config.get("scenarios"))):
        where = f"{name}, scenario {number}"
        for scenario in folder.objects(held):
            data = [
                one for entry in as_list(scenario.get("config")) for one in folder.objects(entry)
            ]
            tests = list(folder.tests(scenario.get("tests"), where)) or [(where, {})]
            for entry, (place, test) in itertools.product(data or [{}], tests):
                yield place, test if isinstance(test, str) else _merged(entry, test)


def _merged(entry: Mapping[str, Any], test: Mapping[str, Any]) -> dict[str, Any]:
    """A scenario's data with one of its tests, which wins."""
    both = {**entry, **test}
    for name in ("vars", "metadata", "options"):
        both[name] = {**as_map(entry.get(name)), **as_map(test.get(name))}
    both["assert"] = [*as_list(entry.get("assert")), *as_list(test.get("assert"))]
    return both


def _combinations(
    folder: Folder, place: Place, default: Mapping[str, Any], test: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """The inputs of a test: each combination of its variables' values."""
    values = {**folder.variables(default.get("vars")), **folder.variables(test.get("vars"))}
    options = {**as_map(default.get("options")), **as_map(test.get("options"))}
    if options.get("disableVarExpansion"):
        yield dict(values)
        return
    lists = [
        cast("list[Any]", value) if isinstance(value, list) and value else [value]
        for value in values.values()
    ]
    for number, chosen in enumerate(itertools.product(*lists)):
        if number == _MOST_COMBINATIONS:
            raise bad_file(
                f"{place}: its variables have over {_MOST_COMBINATIONS:,} combinations",
                "Give some of them fewer values.",
            )
        yield dict(zip(values, chosen, strict=True))


def _add(
    made: Made,
    place: Place,
    test: Mapping[str, Any],
    inputs: dict[str, Any],
    asserts: list[dict[str, Any]],
) -> None:
    if not inputs:
        return made.skip("no variables", place)
    filled = cast("list[dict[str, Any]]", _filled(asserts, inputs))
    metadata = {
        **as_map(test.get("metadata")),
        "description": test.get("description"),
        "assert": filled,
    }
    return made.add(place, inputs, expected_of(filled), metadata=metadata)


def _filled(value: Any, inputs: Mapping[str, Any]) -> Any:
    """A value with `{{name}}` replaced by the variable; what is more than a name stays."""
    if isinstance(value, str):
        whole = _PLACEHOLDER.fullmatch(value.strip())
        if whole and whole[1] in inputs:
            return inputs[whole[1]]
        return _PLACEHOLDER.sub(
            lambda found: str(inputs[found[1]]) if found[1] in inputs else found[0], value
        )
    if isinstance(value, list):
        return [_filled(one, inputs) for one in cast("list[Any]", value)]
    if isinstance(value, Mapping):
        fields = cast("Mapping[str, Any]", value)
        return {key: _filled(held, inputs) for key, held in fields.items()}
    return value


def _prompts(folder: Folder, held: Any) -> list[str]:
    """The texts of the config's prompts, `{{name}}` as `{name}`; those made by code are left."""
    found = list[str]()
    for one in as_list(held):
        text = one
        if isinstance(one, Mapping):
            text = as_map(one).get("raw") or as_map(one).get("id")
        if not isinstance(text, str):
            continue
        texts = folder.texts(text) if _is_file(text) else [text]
        found += [_PLACEHOLDER.sub(r"{\1}", part).strip() for part in texts]
    return [text for text in found if text]


def _is_file(text: str) -> bool:
    plain = without_scheme(text)
    return plain != text or (
        "\n" not in plain and plain.endswith((".txt", ".json", ".md", ".yaml"))
    )
