"""Values: what is wrong is refused in words, every default is valid, and every value is documented."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from docs import chart_values
from tests.unit.chart.rendered import CHART, helm

WRONG: dict[str, tuple[tuple[str, ...], str]] = {
    "a mistyped name": (
        ("--set", "watchNamespace=llm"),
        "additional properties 'watchNamespace' not allowed",
    ),
    "a mistyped name further down": (("--set", "image.repo=x"), "additional properties 'repo' not allowed"),
    "a mistyped name in a list": (
        ("--set-json", 'tolerations=[{"keys":"a"}]'),
        "at '/tolerations/0': additional properties 'keys' not allowed",
    ),
    "a resource that is none": (
        ("--set", "resources.limits.mem=1Gi"),
        "at '/resources/limits': additional properties 'mem' not allowed",
    ),
    "text where a list belongs": (("--set", "watchNamespaces=llm"), "got string, want array"),
    "an unknown log format": (("--set", "logFormat=xml"), "value must be one of 'json', 'text'"),
    "replicas that are no number": (("--set", "replicas=two"), "at '/replicas': got string, want integer"),
    "a digest that is none": (("--set", "image.digest=latest"), "does not match pattern"),
    "an address without a mask": (
        ("--set", "networkPolicy.egress.apiServerCIDRs={10.0.0.1}"),
        "at '/networkPolicy/egress/apiServerCIDRs/0'",
    ),
    "a budget that lets no pod go": (
        ("--set", "podDisruptionBudget.maxUnavailable=0"),
        "minimum: got 0, want 1",
    ),
    "a pod that is scraped twice": (
        ("--set", "metrics.serviceMonitor.enabled=true", "--set", "metrics.podMonitor.enabled=true"),
        "would both have the same pod scraped: enable one of them",
    ),
    "no account and no name for one": (
        ("--set", "serviceAccount.create=false"),
        "serviceAccount.name is needed when serviceAccount.create is false",
    ),
}


@pytest.mark.parametrize(("values", "message"), WRONG.values(), ids=list(WRONG))
def test_a_wrong_value_is_refused(values: tuple[str, ...], message: str) -> None:
    done = helm("template", "rayspan", str(CHART), *values)
    assert done.returncode != 0
    assert message in done.stderr


def objects_in(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema that lists properties, by its path."""
    if isinstance(schema, dict):
        if "properties" in schema:
            yield path, schema
        for name, inner in schema.items():
            yield from objects_in(inner, f"{path}/{name}")


def test_no_level_lets_an_unknown_name_pass() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    levels = dict(objects_in(schema))
    assert len(levels) > 20
    assert [path for path, each in levels.items() if each.get("additionalProperties") is not False] == []


def test_the_schema_knows_the_values_that_there_are_and_no_others() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert set(schema["properties"]) == {*values, "global"}


def test_a_chart_that_depends_on_this_one_may_have_globals() -> None:
    done = helm("template", "rayspan", str(CHART), "--set", "global.region=eu")
    assert done.returncode == 0, done.stderr


def test_the_readme_has_a_row_for_each_value() -> None:
    text = "# The first.\na: 1\n\n# A group.\nb:\n  c: []\n  # With a\n  # bar |.\n  d: {e: true}\n"
    assert chart_values.table(text) == (
        "| value | default | meaning |\n"
        "|---|---|---|\n"
        "| `a` | `1` | The first. |\n"
        "| `b` | | A group. |\n"
        "| `b.c` | `[]` | |\n"
        "| `b.d` | | With a bar \\|. |\n"
        "| `b.d.e` | `true` | |\n"
    )


def test_a_comment_above_nothing_is_an_error() -> None:
    with pytest.raises(
        ValueError, match=r"comments in values.yaml for what is no value: resources.limits.cpu"
    ):
        chart_values.table("resources:\n  limits:\n    # Deep.\n    cpu: 1\n")


def test_a_readme_without_a_place_for_the_table_is_an_error() -> None:
    with pytest.raises(ValueError, match="to put the table between"):
        chart_values.with_table("# Chart\n", "a: 1\n")
