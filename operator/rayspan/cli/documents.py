"""YAML and JSON in and out: files of Kubernetes objects."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from rayspan.cli.errors import WrongInput

Document = dict[str, Any]


class _Dumper(yaml.SafeDumper):
    """Strings of several lines as blocks, no anchors: what a person would write."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _string(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _string)


def to_yaml(documents: Iterable[Document]) -> str:
    """The documents as one YAML stream, keys in the order given."""
    return "---\n".join(
        yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)
        for document in documents
    )


def write(documents: list[Document], output: str) -> None:
    """Print them as ``json`` (one by itself, several as a list) or as ``yaml``."""
    if output == "json":
        print(json.dumps(documents[0] if len(documents) == 1 else documents, indent=2), flush=True)
    else:
        print(to_yaml(documents), end="", flush=True)


def read_json(path: str) -> Any:
    """What a JSON file holds."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise WrongInput(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise WrongInput(f"{path} is not JSON: {error}") from error


def read(path: str) -> list[Document]:
    """All objects of a YAML or JSON file, the items of Lists among them; ``-`` is standard input."""
    try:
        content = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise WrongInput(f"{path} cannot be read: {reason}") from error
    try:
        documents = [document for document in yaml.safe_load_all(content) if document is not None]
    except yaml.YAMLError as error:
        raise WrongInput(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    objects: list[Document] = []
    for document in documents:
        if not isinstance(document, dict):
            raise WrongInput(f"{path} holds a {type(document).__name__} where an object is expected")
        objects.extend(document["items"] if str(document.get("kind")).endswith("List") else [document])
    return objects
