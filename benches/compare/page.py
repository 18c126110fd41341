"""Puts tables into docs/performance.md, between the markers of their kind.

What is between `<!-- measured:KIND -->` and `<!-- /measured:KIND -->` is a run's report without its
title, its headings one level further down.
"""

import os

from .contenders import REPOSITORY

PATH = os.path.join("docs", "performance.md")


def write(kind, text):
    """Replaces what an earlier run has put there."""
    path = os.path.join(REPOSITORY, PATH)
    with open(path, encoding="utf-8") as file:
        page = file.read()
    begin, end = f"<!-- measured:{kind} -->", f"<!-- /measured:{kind} -->"
    if page.count(begin) != 1 or page.count(end) != 1:
        raise SystemExit(f"{PATH} has no place for {kind}")
    before, rest = page.split(begin)
    _, after = rest.split(end)
    body = "\n".join(_lower(line) for line in text.splitlines()[1:]).strip()
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{before}{begin}\n{body}\n{end}{after}")


def _lower(line):
    if line == "## Skipped":
        return "Not in these tables:"
    return f"#{line}" if line.startswith("#") else line
