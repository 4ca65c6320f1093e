"""Other people's words, fit for a status: short, one line, without secrets, and the same at every look.

A status is read by everyone who may read the LLMDeployment and stays in etcd, so tokens that a traceback
or a URL carries are cut out. Words that change by themselves (terminal colours, back-off times) go too:
a quiet deployment must not be written again for them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

MESSAGE_MAX: Final = 4096
"""Longest message in the status, in characters (the CRD's bound)."""
QUOTE_MAX: Final = 600
"""Longest quotation inside a message."""

_HIDDEN: Final = "[hidden]"
_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_RAY_PREFIX = re.compile(r"\([\w.:-]+ pid=\d+(?:, ip=[\d.]+)?\)\s*")
_BACK_OFF = re.compile(r'^Back-off pulling image "[^"]*": (?:ErrImagePull: )?')
_BACK_OFF_TIME = re.compile(r"\bback-off \S+ ")
_REFUSED_POD = re.compile(r'\bpods? "([a-z0-9.-]+-)[bcdfghjklmnpqrstvwxz2456789]{5}"')
"""Each try has another name: the letters are those of apimachinery's util/rand, which ends generateName."""
_SECRETS: Final = (
    (re.compile(r"\bhf_[A-Za-z0-9]{6,}"), _HIDDEN),
    (re.compile(r"\b(?:sk|ghp|gho|glpat|xox[bp])[-_][A-Za-z0-9_-]{8,}"), _HIDDEN),
    (re.compile(r"\bAKIA[0-9A-Z]{12,}"), _HIDDEN),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)?"), _HIDDEN),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}"), rf"\1 {_HIDDEN}"),
    (re.compile(r"(?i)([a-z0-9+.-]+://)[^/\s:@]+:[^/\s@]+@"), rf"\1{_HIDDEN}@"),
    (
        re.compile(
            r"(?i)([\w-]*(?:token|password|passwd|secret|api[_-]?key|access[_-]?key|signature|credential)"
            r"[\w-]*[\"']?\s*[=:]\s*[\"']?)(?!\s|\[hidden\])[^\s\"'&,;)}]{6,}"
        ),
        rf"\1{_HIDDEN}",
    ),
)
_FRAME = re.compile(r"""\s*(?:Traceback \(most recent call last\)|File "[^"]+", line \d+)""")
_EXCEPTION = re.compile(
    r"^\s*(?:[A-Za-z_][\w.]*\.)?[A-Z]\w*(?:Error|Exception|Exit|Interrupt|Timeout|Died)\b"
)


@lru_cache(maxsize=2**14)  # of a thousand deployments, some ten sentences each
def clean(text: str) -> str:
    """One line without colours, secrets and repeated white space."""
    text = _COLOUR.sub("", text)
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return " ".join(text.split())


def bounded(text: str, most: int = MESSAGE_MAX) -> str:
    """At most ``most`` characters, cut with an ellipsis."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def message(*sentences: str) -> str:
    """Sentences as one clean message that the CRD takes."""
    return bounded(clean(" ".join(sentence for sentence in sentences if sentence)))


def quote(text: str, most: int = QUOTE_MAX) -> str:
    """Someone's words, short: of a traceback the first line and the exception, which say what and why."""
    lines = [_RAY_PREFIX.sub("", _COLOUR.sub("", line)).rstrip() for line in text.splitlines()]
    lines = [line for line in lines if line.strip()]
    if any(map(_FRAME.match, lines)):
        # Ray leaves the header out. Chained tracebacks end with the outermost; the last one that Python prints is
        # what was raised.
        raised = [line for line in lines if _EXCEPTION.match(line)]
        first = [] if lines[0].lstrip().startswith("Traceback") else [lines[0]]
        lines = [*first, *(raised[-1:] or lines[-1:])]
    words = _BACK_OFF_TIME.sub("back-off ", _BACK_OFF.sub("", clean("\n".join(lines))))
    return bounded(_REFUSED_POD.sub(r'pod "\1..."', words), most)


def listing(items: Iterable[str], most: int = 4) -> str:
    """``a, b, c and 7 more``: names for a sentence."""
    names = list(items)
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def count(number: int, noun: str) -> str:
    """``1 replica``, ``2 replicas``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def capital(text: str) -> str:
    """The first letter in upper case, the rest as it is."""
    return text[:1].upper() + text[1:]
