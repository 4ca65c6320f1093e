"""The API keys, as they are now: a file of a mounted Secret, one key per line.

Several keys are good at the same time, so that one can be put in before the old one is taken out. The file is read
again every RENEW_SECONDS, when a request comes: the kubelet replaces it some seconds to a minute after the Secret was
changed, as one (it swaps a link). Only digests are kept, and a key is compared with all of them in a time that tells
neither which one nor how much of it was right. Nothing here writes a key anywhere.
"""

import hashlib
import hmac
import logging
import time
from collections.abc import Callable
from pathlib import Path

logger = logging.getLogger("ray.serve")

RENEW_SECONDS = 2.0


class Keys:
    """The keys in a file. While it was never there or is empty, no key opens."""

    def __init__(self, file: Path, now: Callable[[], float] = time.monotonic) -> None:
        self._file, self._now = file, now
        self._digests: frozenset[bytes] = frozenset()
        self._read_at = float("-inf")

    def open_to(self, given: bytes) -> bool:
        """Whether this is one of the keys."""
        self._renew()
        digest = _digest(given)
        # Summed, not any(): that would stop at the one that is right.
        return sum(hmac.compare_digest(digest, each) for each in self._digests) > 0

    def _renew(self) -> None:
        if self._now() - self._read_at < RENEW_SECONDS:
            return
        self._read_at = self._now()
        try:
            text = self._file.read_bytes()
        except OSError as error:
            logger.warning("the API keys cannot be read, those that are known stay: %s", error.strerror)
            return
        digests = frozenset(_digest(line.strip()) for line in text.splitlines() if line.strip())
        if digests != self._digests:
            logger.info("API keys were read: there are %d", len(digests))
            self._digests = digests


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
