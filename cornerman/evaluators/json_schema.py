"""`json_schema`: whether an output is JSON that follows a schema."""

from __future__ import annotations

import json
import re
from typing import Any

from jsonschema import FormatChecker
from jsonschema.exceptions import SchemaError, best_match
from jsonschema.validators import validator_for
from referencing import Registry

from cornerman.domain.training.cases import EvaluationContext, Score
from cornerman.evaluators.schema_patterns import check_patterns, with_safe_patterns

_FENCE = re.compile(r"^\s*```[a-zA-Z]*\s*\n(.*?)\n?\s*```\s*$", re.DOTALL)


def parse_json(text: str) -> Any:
    """Return the JSON that a model's answer holds, with or without a Markdown fence around it.

    Raises:
        ValueError: It is not JSON.
    """
    fenced = _FENCE.match(text)
    try:
        return json.loads(fenced.group(1) if fenced else text)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


class JsonSchema:
    """Whether the output, an object or JSON text, follows `schema`.

    Args:
        schema: A JSON Schema; the draft by its `$schema`, else 2020-12. References to other
            documents are not fetched.
    """

    def __init__(self, schema: dict[str, Any]) -> None:
        kind = validator_for(schema)
        try:
            kind.check_schema(schema)
        except SchemaError as error:
            raise ValueError(f"schema: {error.message}") from error
        check_patterns(schema)
        # The empty registry keeps `$ref` from reaching out to the network.
        self._validator = with_safe_patterns(kind)(
            schema, format_checker=FormatChecker(), registry=Registry()
        )

    def __call__(self, context: EvaluationContext) -> Score:
        output = context.output
        if isinstance(output, str):
            try:
                output = parse_json(output)
            except ValueError as error:
                return Score(0.0, f"not JSON: {error}")
        error = best_match(self._validator.iter_errors(output))
        if error is None:
            return Score(1.0)
        return Score(0.0, f"at {error.json_path}: {error.message[:500]}")
