#!/usr/bin/env python
"""Bring the catalogues of the page up to date with the messages in the sources.

A new message has no translation then, and the tests fail until it has one. ``--check`` changes
nothing, and fails if a catalogue lacks a message or has one that is gone.
"""

import sys
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).parents[1] / "src" / "clusterpass" / "service"
LOCALE = ROOT / "language" / "locale"
METHODS = [
    ("page/templates/**.html", "jinja2.ext:babel_extract"),
    ("**.py", "python"),
]
OPTIONS = {"page/templates/**.html": {"trimmed": "true", "newstyle_gettext": "true"}}
KEYWORDS = {**DEFAULT_KEYWORDS, "mark": None, "mark_plural": (1, 2), "say": None}


def extracted() -> Catalog:
    """All messages in the sources."""
    catalog = Catalog(project="clusterpass", charset="utf-8")
    found = extract_from_dir(ROOT, METHODS, OPTIONS, keywords=KEYWORDS)
    for file, _, message, _, context in found:
        catalog.add(message, locations=[(file, 0)], context=context)
    return catalog


def updated(path: Path, template: Catalog) -> bytes:
    """The text of the catalogue at ``path`` with the messages of ``template``."""
    with path.open("rb") as file:
        catalog = read_po(file, locale=path.parts[-3])
    catalog.update(template, no_fuzzy_matching=True)
    catalog.obsolete.clear()
    text = BytesIO()
    write_po(text, catalog, width=100, sort_output=True, include_lineno=False, omit_header=True)
    header = path.read_bytes().partition(b"\n\n")[0]
    return header + b"\n\n" + text.getvalue().rstrip(b"\n") + b"\n"


def main() -> int:
    """Write the catalogues; return the exit status."""
    template, outdated = extracted(), []
    for path in sorted(LOCALE.glob("*/LC_MESSAGES/service.po")):
        text = updated(path, template)
        if text != path.read_bytes():
            outdated.append(path)
            if "--check" not in sys.argv:
                path.write_bytes(text)
    for path in outdated:
        sys.stdout.write(f"{path.relative_to(ROOT.parents[2])}\n")
    return 1 if outdated and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
