"""What vLLM's source says, read without running it: importing vLLM's arguments loads torch and takes seconds.

Both answers come from the installed package's files: the names of the engine's arguments from the fields of the
argument classes, and whether an architecture can be cut into stages from the bases of its model class.
"""

import ast
from importlib.util import find_spec
from pathlib import Path

ARGUMENT_CLASSES = {
    "engine/arg_utils.py": {"EngineArgs", "AsyncEngineArgs"},
    "entrypoints/launchers/cli_args.py": {"BaseFrontendArgs", "FrontendArgs"},
}


def package_folder() -> Path:
    """Where vLLM is installed; it is found, not imported."""
    spec = find_spec("vllm")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("No module named 'vllm'")
    return Path(spec.origin).parent


def from_source() -> set[str]:
    """Names of all engine and frontend arguments; empty if the files are not where they are in vLLM 0.29."""
    names: set[str] = set()
    for file, classes in ARGUMENT_CLASSES.items():
        path = package_folder() / file
        if not path.exists():
            return set()
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and node.name in classes:
                names |= {
                    item.target.id
                    for item in node.body
                    if isinstance(item, ast.AnnAssign)
                    and isinstance(item.target, ast.Name)
                    and "ClassVar" not in ast.unparse(item.annotation)
                }
    return names


def architecture_supports_pipeline(architecture: str) -> bool | None:
    """True where the model class, or a class it is made from, names SupportsPP; None for what is not found."""
    models = package_folder() / "model_executor" / "models"
    module, name = registered(models / "registry.py").get(architecture, (None, None))
    return None if module is None or name is None else inherits_pipeline(models, module, name, set())


def registered(registry: Path) -> dict[str, tuple[str, str]]:
    """architecture -> (module, class), from the registry's literal tables."""
    found: dict[str, tuple[str, str]] = {}
    for node in ast.walk(ast.parse(registry.read_text())):
        if not isinstance(node, ast.Dict):
            continue
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(value, ast.Tuple) and len(value.elts) == 2:
                parts = [part.value for part in value.elts if isinstance(part, ast.Constant)]
                if len(parts) == 2:
                    found[str(key.value)] = (str(parts[0]), str(parts[1]))
    return found


def inherits_pipeline(models: Path, module: str, name: str, seen: set[tuple[str, str]]) -> bool | None:
    path = models / f"{module}.py"
    if (module, name) in seen or not path.exists():
        return None
    seen.add((module, name))
    tree = ast.parse(path.read_text())
    made = next((node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name), None)
    if made is None:
        return None
    bases = [base.id for base in made.bases if isinstance(base, ast.Name)]
    if "SupportsPP" in bases:
        return True
    came_from = imports(tree)
    unknown = False
    for base in bases:
        answer = inherits_pipeline(models, came_from.get(base, module), base, seen)
        if answer:
            return True
        unknown = unknown or (answer is None and base not in OUTSIDE and not base.startswith("Supports"))
    return None if unknown else False


OUTSIDE = {
    "Module",
    "object",
    "VllmModel",
    "HasInnerState",
    "IsHybrid",
    "IsAttentionFree",
    "MixtureOfExperts",
}
"""Bases that are no models."""


def imports(tree: ast.Module) -> dict[str, str]:
    """name -> sibling module it is imported from (`from .llama import LlamaForCausalLM`)."""
    return {
        alias.asname or alias.name: node.module
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module
        for alias in node.names
    }
