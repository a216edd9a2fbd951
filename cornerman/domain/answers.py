"""What models answer where JSON or a score was asked for: read as people would read it.

One reader for judges, referees and scouts: out of fences, after thoughts or a preface, with a
trailing comma, under any case of its keys, on another scale where that scale is plain.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any, cast

# At the start alone: further down it is what the model says about thinking.
_THOUGHTS = re.compile(r"\s*<(think|thinking)>.*?(?:</\1>\s*|\Z)", re.DOTALL | re.IGNORECASE)
_FENCE = re.compile(r"```[\w-]*[ \t]*\n?(.*?)```", re.DOTALL)
# Outside of texts alone: a text may well hold `,}`.
_TEXT_OR_COMMA = re.compile(r'("(?:[^"\\]|\\.)*")|,(\s*[}\]])', re.DOTALL)
_MOST_STARTS = 50
# Such an object is longer than any verdict; scanning it for commas takes its time.
_MOST_MENDED = 200_000
_NUMBER = r"[-+]?\d+(?:[.,]\d+)?"
_OF = re.compile(rf"^({_NUMBER})\s*(?:/|of|out of|von|sur|de|su)\s*({_NUMBER})\b", re.IGNORECASE)
_PERCENT = re.compile(rf"^({_NUMBER})\s*(?:%|percent\b|per cent\b)", re.IGNORECASE)
_PLAIN = re.compile(rf"^({_NUMBER})$")
_NAMED = re.compile(
    r"\b(?:score|rating|grade|note|punktzahl|puntuaci[oó]n)\b\W{0,6}", re.IGNORECASE
)


def without_thoughts(text: str) -> str:
    """An answer's text after the thoughts at its start; "" where they were cut off."""
    match = _THOUGHTS.match(text)
    return text if match is None else text[match.end() :]


def json_text(text: str) -> str:
    """The JSON object, or other JSON, in a model's answer.

    Returns:
        The text itself where it is JSON, else the first object in a fence or in the text, with
        trailing commas taken away; the stripped text where there is none, so that whoever
        validates it can say what is wrong.
    """
    stripped = without_thoughts(text).strip()
    fenced = [found.strip() for found in _FENCE.findall(stripped)]
    for candidate in (stripped, *fenced):
        for version in _versions(candidate):
            if _parses(version):
                return version
    for candidate in (*fenced, stripped):
        if (found := _first_object(candidate)) is not None:
            return found
    return stripped


def json_object(text: str) -> dict[str, Any]:
    """The JSON object in a model's answer.

    Raises:
        ValueError: There is none.
    """
    found = json_text(text)
    try:
        value = json.loads(found)
    except RecursionError:
        raise ValueError("the answer's JSON is nested too deeply") from None
    except ValueError as error:
        if "{" not in found:
            raise ValueError("the answer holds no JSON object") from None
        raise ValueError(str(error)) from None
    if not isinstance(value, dict):
        raise ValueError(f"the answer is a {type(value).__name__}, not a JSON object")
    return cast("dict[str, Any]", value)


def lower_keys(value: Any) -> Any:
    """A JSON value with the keys of its objects in lower case: `{"Score": 1}` is `{"score": 1}`."""
    if isinstance(value, dict):
        items = cast("dict[Any, Any]", value).items()
        return {str(key).strip().lower().replace(" ", "_"): lower_keys(held) for key, held in items}
    if isinstance(value, list):
        return [lower_keys(held) for held in cast("list[Any]", value)]
    return value


def _versions(text: str) -> Iterator[str]:
    yield text
    if "," in text and len(text) <= _MOST_MENDED:
        yield _TEXT_OR_COMMA.sub(lambda m: m[1] if m[1] is not None else m[2], text)


def _parses(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _first_object(text: str) -> str | None:
    decoder = json.JSONDecoder()
    for version in _versions(text):
        start = version.find("{")
        # A hostile answer of braces alone would take quadratic time.
        for _ in range(_MOST_STARTS):
            if start < 0:
                break
            try:
                _, end = decoder.raw_decode(version, start)
            except (ValueError, RecursionError):
                start = version.find("{", start + 1)
            else:
                return version[start:end]
    return None


def read_score(value: Any, most: float) -> float:
    """A score on the scale 0..`most`, as it came or on another plain scale.

    `8/10`, `85%` and `"0.9"` are plain. On the scale 0..1 a bare number over 10 and up to 100 is
    one of 100; 5 might be of 5, 10 or 100, so it is not read.

    Raises:
        ValueError: It is no score, or its scale is not plain.
    """
    if isinstance(value, str):
        return _score_of_text(value.strip().strip("*_`\"'. "), most)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"score must be a number of 0 to {most:g}, got {value!r:.80}")
    return _on_scale(float(value), most)


def _score_of_text(text: str, most: float) -> float:
    if match := _OF.match(text):
        part, whole = _number(match[1]), _number(match[2])
        if whole > 0 and 0 <= part <= whole:
            return most * part / whole
    elif match := _PERCENT.match(text):
        part = _number(match[1])
        if 0 <= part <= 100:
            return most * part / 100
    elif match := _PLAIN.match(text):
        return _on_scale(_number(match[1]), most)
    raise ValueError(f"score must be a number of 0 to {most:g}, got {text!r:.80}")


def _on_scale(number: float, most: float) -> float:
    if math.isfinite(number) and 0 <= number <= most:
        return number
    if most == 1 and 10 < number <= 100:
        return number / 100
    raise ValueError(
        f"score must be a number of 0 to {most:g}, got {number:g}, whose scale is not plain"
    )


def _number(text: str) -> float:
    return float(text.replace(",", "."))


def score_in_text(text: str, most: float) -> float:
    """The score of an answer that is no JSON: `Score: 8/10`, or nothing but a number.

    Raises:
        ValueError: It holds none, or several that differ.
    """
    said = without_thoughts(text).strip()
    try:
        return read_score(said, most)
    except ValueError:
        found = set[float]()
        for match in _NAMED.finditer(said):
            rest = said[match.end() : match.end() + 40].split("\n")[0]
            number = _OF.match(rest) or _PERCENT.match(rest) or re.match(_NUMBER, rest)
            if number is not None:
                found.add(read_score(number[0], most))
        if len(found) != 1:
            raise ValueError(f"the answer holds no score of 0 to {most:g}: {said!r:.80}") from None
        return found.pop()


def read_money(value: Any) -> float | None:
    """A price as a model writes it, such as `"$1,350"`; None where it is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, str):
        match = re.search(r"\d[\d,.]*", value)
        if match is not None:
            plain = match[0].rstrip(".,").replace(",", "")
            try:
                return float(plain)
            except ValueError:
                return None
    return None
