"""The files of a benchmark: the result as JSON, beside it the page and the picture."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from rayspan.cli.bench.record import Benchmark
from rayspan.cli.errors import Failure, WrongInput


def place(path: str) -> Path:
    """Where the result goes; refused before the load is put on rather than after it."""
    wanted = Path(path)
    if wanted.suffix != ".json":
        raise WrongInput(f"--save {path}: the result is JSON: write a name that ends in .json")
    if not wanted.parent.is_dir() or not os.access(wanted.parent, os.W_OK):
        raise WrongInput(f"--save {path}: {wanted.parent} is no folder that can be written to")
    return wanted


def save(benchmark: Benchmark, path: Path) -> None:
    """Write all three and say where, on standard error."""
    from rayspan.cli.bench.page import page
    from rayspan.cli.bench.picture import picture
    from rayspan.cli.bench.png import MISSING, write_png

    html, png = path.with_suffix(".html"), path.with_suffix(".png")
    try:
        path.write_text(json.dumps(benchmark.document(), indent=2) + "\n", encoding="utf-8")
        html.write_text(page(benchmark), encoding="utf-8")
        drawn = write_png(picture(benchmark), png)
    except OSError as error:
        raise Failure(f"{error.filename} cannot be written: {error.strerror}") from error
    print(f"written: {path}, {html}, {png if drawn else MISSING}", file=sys.stderr)
