"""Why an engine did not start, in the words of its first failing process.

vLLM runs its engine in a process of its own. When that fails, the replica is told "Engine core initialization failed.
See root cause above" (vllm/v1/engine/utils.py), and the cause stands in a log. Here the engine's process writes it down,
as vLLM's entry point `vllm.general_plugins`, and the replica raises it. Ray hands on the error of the rank that failed
first.
"""

import json
import logging
import os
import re
import tempfile
from pathlib import Path

from rayspan_serving.errors import chain

FILE = "RAYSPAN_LAST_WORDS"
"""Environment variable: the file to write to, which the engine's process inherits from its replica."""
MOST = 1500
"""Characters of an error's text that are kept: its beginning, where what and why stand."""
LOGGER = "vllm.v1.engine.core"
"""Which logs why the engine failed, with the exception."""

ADDRESS = re.compile(r"\(pid=\d+, ip=(?P<address>[^,)]+)")
"""In the first line of an error of a Ray task: where it ran."""


class EngineStartError(RuntimeError):
    """The engine did not start, and why. The operator quotes the last line of a traceback that names an ...Error."""


class Listener(logging.Handler):
    def __init__(self, file: Path) -> None:
        super().__init__(logging.ERROR)
        self._file = file

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            self._file.write_text(json.dumps(words(error)))


def listen() -> None:
    """The entry point: called in each process of vLLM's, and of use in the engine's."""
    if file := os.environ.get(FILE):
        logging.getLogger(LOGGER).addHandler(Listener(Path(file)))


def expect() -> Path:
    """A file that the engine started next writes its last words to."""
    file = Path(tempfile.gettempdir()) / f"rayspan-last-words-{os.getpid()}"
    file.unlink(missing_ok=True)
    os.environ[FILE] = str(file)
    return file


def words(error: BaseException) -> dict[str, str]:
    """What was raised first, and the address of the node where, if it was in a worker."""
    first = chain(error)[-1]
    found = ADDRESS.search(str(error))
    return {
        "address": found["address"] if found else "",
        "words": f"{type(first).__name__}: {str(first).strip()}"[:MOST],
    }


def read(file: Path) -> dict[str, str] | None:
    """What the engine wrote, if it did."""
    try:
        found: dict[str, str] = json.loads(file.read_text())
    except (OSError, ValueError):
        return None
    return found
