"""`make licences`: what the operator's image is made of, with versions and licences. One that is not in ALLOWED fails.

The packages are those that an installed rayspan needs, found in this environment's metadata. What a package says of its
licence is taken in this order: its License-Expression, its classifiers, its License field.
"""

import re
import sys
from collections.abc import Iterable
from importlib import metadata

from packaging.requirements import Requirement

ALLOWED = {
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "MIT",
    "MPL-2.0",  # certifi, unchanged: its one condition is that its files stay under it
    "PSF-2.0",
    "Python-2.0",
}
"""SPDX. They ask for no more than that their texts be kept, which an installed package does."""

_NAMES = {
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "apache 2": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "bsd license": "BSD-3-Clause",
    "bsd": "BSD-3-Clause",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
}


def main() -> int:
    """List them; 1 where a licence was not looked at yet."""
    unknown = []
    for name in sorted(needed("rayspan") - {"rayspan"}):
        found = metadata.distribution(name)
        licences = licences_of(found.metadata)
        print(f"{found.name:28} {found.version:14} {' AND '.join(licences) or 'none is named'}")
        if not licences or not set(licences) <= ALLOWED:
            unknown.append(found.name)
    if unknown:
        text = "read it, and add it to ALLOWED in dev/licences.py or replace the package"
        print(f"licences: not looked at yet: {', '.join(unknown)}: {text}", file=sys.stderr)
    return bool(unknown)


def needed(name: str, extras: Iterable[str] = ("",)) -> set[str]:
    """A package and all that it needs here, by normalized names."""
    seen: set[tuple[str, str]] = set()
    todo = [(name, extra) for extra in extras]
    while todo:
        package, extra = todo.pop()
        if (package, extra) in seen:
            continue
        seen.add((package, extra))
        for text in metadata.requires(package) or ():
            one = Requirement(text)
            if one.marker is None or one.marker.evaluate({"extra": extra}):
                todo += [(_normal(one.name), each) for each in ("", *one.extras)]
    return {package for package, _ in seen}


def licences_of(says: metadata.PackageMetadata) -> list[str]:
    """SPDX names of a package's licences where they are known, else its own words."""
    (expression, field) = ((says.get_all(name) or [""])[0] for name in ("License-Expression", "License"))
    if expression:
        return sorted(set(re.split(r" (?:AND|OR) ", expression.replace("(", "").replace(")", ""))))
    classifiers = [
        one.split(" :: ")[-1] for one in says.get_all("Classifier") or () if one.startswith("License ::")
    ]
    # Some classify themselves as no more than that, and others have the whole text in the field.
    words = [one for one in classifiers if one != "OSI Approved"] or field.splitlines()[:1]
    return sorted({spdx(one) for one in words})


def spdx(words: str) -> str:
    """The SPDX name of a licence that goes by another."""
    return _NAMES.get(words.strip().lower(), words.strip())


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    sys.exit(main())
