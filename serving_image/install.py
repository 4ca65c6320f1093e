"""Puts rayspan_serving and its metadata into a folder for PYTHONPATH: `python install.py FOLDER`.

The metadata matters: vLLM finds the CPU stage platform by its entry point. This is what a wheel's installation
leaves behind, without a build backend, so that the image builds without a network and brings no dependencies
beside those of its base.
"""

import compileall
import shutil
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent


def install(folder: Path) -> None:
    project = tomllib.loads((HERE / "pyproject.toml").read_text())["project"]
    package = HERE / "rayspan_serving"
    target = folder / package.name
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(package, target, ignore=shutil.ignore_patterns("__pycache__"))
    metadata = folder / f"{package.name}-{project['version']}.dist-info"
    metadata.mkdir(parents=True, exist_ok=True)
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
        f"Summary: {project['description']}\nRequires-Python: {project['requires-python']}\n"
    )
    lines = []
    for group, entries in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in entries.items()), ""]
    (metadata / "entry_points.txt").write_text("\n".join(lines))
    (metadata / "INSTALLER").write_text("rayspan\n")
    compileall.compile_dir(target, quiet=1)


if __name__ == "__main__":
    install(Path(sys.argv[1]))
