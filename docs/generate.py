"""Writes every generated file: ``make crds``. With ``--check`` it writes none and names what is out of date.

From the types in operator/rayspan/api come the CRD, its copy in the chart (Helm packages no file from
outside the chart), the reference of the resource and the list of conditions; from the names of the operator's metrics
the chart's dashboard and rules; from values.yaml and its comments the table in the chart's README;
from the health check in the chart the patch of Argo CD's ConfigMap.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rayspan.api import conditions
from rayspan.api.crd import crd
from rayspan.api.owned import OWNED_ARGUMENTS, OWNED_ENVIRONMENT, OWNED_ENVIRONMENT_PREFIXES
from rayspan.cli.crd import text

from docs import argocd, chart_values, monitoring

ROOT = Path(__file__).resolve().parent.parent
NOTICE = "<!-- Made by `make crds` from operator/rayspan/api. Do not edit. -->\n"


def generated() -> dict[str, str]:
    """Content by path."""
    name = f"{crd()['metadata']['name']}.yaml"
    return {
        f"crds/{name}": text(),
        f"charts/rayspan/files/{name}": text(),
        "docs/crd.md": NOTICE + reference(),
        "docs/conditions.md": NOTICE + vocabulary(),
        "charts/rayspan/files/dashboard.json": monitoring.dashboard(),
        "charts/rayspan/files/rules.yaml": monitoring.rules(),
        "examples/gitops/argocd/argocd-cm.yaml": argocd.config_map(),
        "charts/rayspan/README.md": chart_values.with_table(_read("README.md"), _read("values.yaml")),
    }


def _read(name: str) -> str:
    return (ROOT / "charts" / "rayspan" / name).read_text(encoding="utf-8")


def reference() -> str:
    """Every field of the resource: path, type with bounds, meaning; then the rules of admission."""
    (version,) = crd()["spec"]["versions"]
    root = version["schema"]["openAPIV3Schema"]
    lines = [
        "# LLMDeployment",
        "",
        f"`{crd()['spec']['group']}/{version['name']}`, short name `llm`, namespaced. "
        "The same is in `kubectl explain llmdeployment.spec`.",
    ]
    for part in ("spec", "status"):
        lines += ["", f"## {part}", "", "| field | type | meaning |", "|---|---|---|"]
        lines += [
            f"| `{path}` | {kind} | {meaning} |"
            for path, kind, meaning in _fields(root["properties"][part], "")
        ]
    lines += ["", "## What is refused at admission", "", "Besides types and bounds:", ""]
    lines += [f"- {rule['message']}" for rule in _rules(root) if "is set by Rayspan" not in rule["message"]]
    for heading, owned in (("engine.args", OWNED_ARGUMENTS), ("engine.env", OWNED_ENVIRONMENT)):
        lines += ["", f"Keys of `{heading}` that Rayspan sets itself:", "", "| key | instead |", "|---|---|"]
        lines += [f"| `{key}` | {instead} |" for key, instead in owned.items()]
    lines += [f"| `{start}*` | {instead} |" for start, instead in OWNED_ENVIRONMENT_PREFIXES.items()]
    return "\n".join(lines) + "\n"


def _fields(schema: dict[str, Any], prefix: str) -> Iterator[tuple[str, str, str]]:
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        if prefix == "engine.args.":
            continue  # declared there only so that a rule can name it
        path = f"{prefix}{name}"
        must = "**required.** " if name in required else ""
        yield path, _kind(field), must + field.get("description", "").replace("|", "\\|")
        yield from _fields(field, f"{path}.")
        yield from _fields(field.get("items", {}), f"{path}[].")


def _kind(field: dict[str, Any]) -> str:
    kind: str = field["type"]
    if kind == "array":
        kind = f"list of {field['items']['type']}"
    elif kind == "object" and isinstance(field.get("additionalProperties"), dict):
        kind = f"map of {field['additionalProperties']['type']}"
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    low, high = field.get("minimum"), field.get("maximum")
    if low is not None and high is not None:
        return f"{kind}, {low} to {high}"
    return f"{kind}, at least {low}" if low is not None else kind


def _rules(schema: dict[str, Any]) -> Iterator[dict[str, str]]:
    yield from schema.get("x-kubernetes-validations", ())
    for field in schema.get("properties", {}).values():
        yield from _rules(field)
    yield from _rules(schema["items"]) if "items" in schema else ()


def vocabulary() -> str:
    """Condition types and reasons with their one line of doc, in the order of the source."""
    source = Path(conditions.__file__).read_text(encoding="utf-8")
    types, reasons = source.split("class Reason(")
    reasons = reasons.split("class Phase(")[0]
    lines = [
        "# Conditions",
        "",
        "`kubectl describe llm NAME` shows them; the message says what is so, where, and what to do about it.",
        "",
        "| condition | True means |",
        "|---|---|",
        *(f"| `{name}` | {meaning} |" for name, meaning in _documented(types)),
        "",
        "## Reasons",
    ]
    for heading, block in re.findall(r"^    # (.+?)\n(.*?)(?=^    # |\Z)", reasons, re.MULTILINE | re.DOTALL):
        lines += ["", f"### {heading}", "", "| reason | meaning |", "|---|---|"]
        lines += [f"| `{name}` | {meaning} |" for name, meaning in _documented(block)]
    return "\n".join(lines) + "\n"


def _documented(source: str) -> Iterator[tuple[str, str]]:
    for match in re.finditer(r'^    [A-Z_]+ = "(\w+)"\n    """(.+?)"""', source, re.MULTILINE | re.DOTALL):
        yield match[1], " ".join(match[2].split())


def main() -> int:
    """Write, or check."""
    stale = [
        path
        for path, content in generated().items()
        if not (ROOT / path).exists() or (ROOT / path).read_text(encoding="utf-8") != content
    ]
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path} is out of date: run `make crds` and commit it", file=sys.stderr)
        return bool(stale)
    for path in stale:
        target = ROOT / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(generated()[path], encoding="utf-8")
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
