"""Entry point: picks the command, and turns what went wrong into one sentence and an exit code.

0: done. 1: the cluster did not answer, or what was asked for is not there. 2: the input or the command
line is wrong.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rayspan.cli import bench, crd, diagnose, plan, render, run, status
from rayspan.cli.errors import Failure

_COMMANDS = {
    "run": run,
    "crd": crd,
    "plan": plan,
    "render": render,
    "status": status,
    "diagnose": diagnose,
    "bench": bench,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(argv)
    try:
        code: int = _COMMANDS[options.command].execute(options)
        sys.stdout.flush()
    except Failure as failure:
        print(f"rayspan: {failure}", file=sys.stderr)
        return failure.exit_code
    except BrokenPipeError:
        # The reader, such as `head`, has seen enough. What is still buffered must not fail at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    called = "kubectl rayspan" if Path(sys.argv[0]).name == "kubectl-rayspan" else "rayspan"
    parser = argparse.ArgumentParser(
        prog=called, description="Large language models that do not fit on one machine, on Kubernetes."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in _COMMANDS.items():
        summary = (module.__doc__ or "").partition("\n")[0]
        module.arguments(commands.add_parser(name, help=summary, description=summary))
    return parser


if __name__ == "__main__":
    sys.exit(main())
