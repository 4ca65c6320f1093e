"""Running commands, telling progress, and the one error that ends a command in a plain sentence."""

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


class Failure(Exception):
    """What could not be done and what to do about it: printed without a traceback."""


_start = time.monotonic()


def say(text: str) -> None:
    """One line of progress, with the seconds since the command began."""
    print(f"[{time.monotonic() - _start:5.1f}s] {text}", flush=True)


def warn(text: str) -> None:
    """A line for standard error, for what does not stop the command."""
    print(f"dev: {text}", file=sys.stderr, flush=True)


def run(
    *argv: str | Path,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout_seconds: float | None = None,
) -> str:
    """Run to the end and give its standard output; a Failure carries what it said on standard error."""
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words,
            input=stdin,
            env=env,
            cwd=cwd,
            timeout=timeout_seconds,
            text=True,
            capture_output=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise Failure(f"{words[0]} is not there: {error}") from error
    except subprocess.TimeoutExpired as error:
        raise Failure(f"{' '.join(words)}: no end after {timeout_seconds} s") from error
    if done.returncode:
        raise Failure(f"{' '.join(words)}: exit {done.returncode}\n{(done.stderr or done.stdout).strip()}")
    return done.stdout


def ended(program: str, act: Callable[[], None], interrupted: str) -> int:
    """Run a command's work to its end and give its exit code; what cannot be done is said in a sentence, without
    a traceback. ``interrupted``: what holds after Ctrl-C."""
    try:
        act()
    except Failure as failure:
        print(f"{program}: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{program}: interrupted; {interrupted}", file=sys.stderr)
        return 130
    return 0


def attempt(*argv: str | Path, stdin: str | None = None) -> bool:
    """Run it where failing is an ordinary answer, such as removing what may not be there."""
    try:
        run(*argv, stdin=stdin)
    except Failure:
        return False
    return True


def show(argv: Sequence[str | Path], cwd: Path | None = None) -> None:
    """Run it with its output going straight to the terminal."""
    words = [str(word) for word in argv]
    if subprocess.run(words, cwd=cwd, check=False).returncode:
        raise Failure(f"{' '.join(words)} failed: its output is above")


def wait_for(what: str, done: Callable[[], bool], timeout_seconds: float, hint: str = "") -> None:
    """Ask every 100 ms until it is so; a Failure says what did not come about and where to look."""
    deadline = time.monotonic() + timeout_seconds
    while not done():
        if time.monotonic() > deadline:
            raise Failure(f"{what}: not so after {timeout_seconds:.0f} s. {hint}".strip())
        time.sleep(0.1)
