"""The chart README's table of values, from values.yaml and its comments.

A value is documented by the comment right above it, and so is a group of values, with a row of its own. Comments are
read line by line, for a YAML parser drops them; values are what a parser finds, so that none can be left out, and a
comment that is above none of them is an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

BEGIN = "<!-- Made by `make crds` from values.yaml. Do not edit this table. -->\n"
END = "<!-- The table ends here. -->\n"

Row = tuple[str, str, str]
"""Path, default and meaning."""

_KEY = re.compile(r"( *)([A-Za-z][\w-]*):( |$)")
_WHOLE = frozenset({"resources.requests", "resources.limits", "metrics.dashboard.labels"})
"""Maps whose keys are the user's, so that they are one value."""


def with_table(readme: str, values: str) -> str:
    """The README with its table made anew; ValueError if it has no place for one."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the chart's README has no lines {BEGIN!r} and {END!r} to put the table between")
    return before + BEGIN + table(values) + END + after


def table(values: str) -> str:
    """All values as a Markdown table."""
    lines = ["| value | default | meaning |", "|---|---|---|"]
    for path, default, meaning in rows(values):
        lines.append(f"| `{path}` | {default} | {meaning} |".replace("  ", " "))
    return "\n".join(lines) + "\n"


def rows(values: str) -> list[Row]:
    """One row a value, and one for each group that has a comment."""
    comments = dict(_comments(values))
    parsed = yaml.safe_load(values)
    found: list[Row] = []
    _walk(parsed, "", comments, found)
    if comments:
        raise ValueError(f"comments in values.yaml for what is no value: {', '.join(comments)}")
    return found


def _walk(value: Any, path: str, comments: dict[str, str], found: list[Row]) -> None:
    meaning = comments.pop(path, "")
    if not isinstance(value, dict) or not value or path in _WHOLE:
        found.append((path, _default(value), meaning))
        return
    if meaning:
        found.append((path, "", meaning))
    for name, inner in value.items():
        _walk(inner, f"{path}.{name}" if path else name, comments, found)


def _default(value: Any) -> str:
    return f"`{json.dumps(value)}`" if value != "" else ""


def _comments(values: str) -> Iterator[tuple[str, str]]:
    """Paths with the comments right above them."""
    path: list[str] = []
    comment: list[str] = []
    for line in values.splitlines():
        if line.strip().startswith("#"):
            comment.append(line.strip().lstrip("#").strip())
            continue
        if match := _KEY.match(line):
            path = [*path[: len(match[1]) // 2], match[2]]
            if comment:
                yield ".".join(path), " ".join(comment).replace("|", "\\|")
        comment = []
