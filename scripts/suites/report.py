"""Writes the tables of docs/compatibility.md: what the last runs gave, and the differences."""

import importlib
import json
import os
import re

from . import expected, results, sources
from .servers import ROOT

PAGE = os.path.join(ROOT, "docs", "compatibility.md")


def write(suites, version):
    """Between the marks of the page, from results in the cache. What was not run has no line."""
    with open(PAGE, encoding="utf-8") as file:
        page = file.read()
    found = {name: runs for name in suites if (runs := _runs(name, version))}
    for mark, lines in (("figures", _figures(found)), ("differences", _differences(found))):
        page, count = re.subn(
            f"(<!-- {mark}:begin -->\n).*?(<!-- {mark}:end -->)",
            lambda match, lines=lines: match[1] + "\n".join(lines) + "\n" + match[2],
            page, flags=re.S,
        )
        if count != 1:
            raise SystemExit(f"{PAGE} has no marks for the {mark}")
    with open(PAGE, "w", encoding="utf-8") as file:
        file.write(page)


def _runs(name, version):
    runs = {}
    for way in ("direct", "pgusher"):
        path = os.path.join(sources.CACHE, "results", version, name, way, "results.json")
        if not os.path.exists(path):
            return None
        with open(path, encoding="utf-8") as file:
            runs[way] = json.load(file)
    return runs


def _figures(found):
    yield "| suite | tests | fail directly | fail through pgusher | pass directly only | without a reason |"
    yield "|---|--:|--:|--:|--:|--:|"
    for name, runs in found.items():
        suite = importlib.import_module(f"suites.{name}")
        direct, pgusher = runs["direct"], runs["pgusher"]
        different = results.compare(direct["tests"], pgusher["tests"])
        unknown = expected.split(name, different)[1]
        # A suite that is cut off has not run what comes behind.
        failed = pgusher["failed"] + max(0, direct["ran"] - pgusher["ran"])
        yield (f"| {suite.TITLE} {suite.VERSION} | {direct['ran']:,} | {direct['failed']} | "
               f"{failed} | {len(different)} | {len(unknown)} |")


def _differences(found):
    """One line for each reason."""
    yield "| reason | tests |"
    yield "|---|---|"
    for entry in expected.load():
        parts = []
        for name, tests in entry["tests"].items():
            if name in found:
                title = importlib.import_module(f"suites.{name}").TITLE
                parts.append(f"{title}: " + ", ".join(f"`{test}`" for test in tests))
        if parts:
            yield f"| {' '.join(entry['reason'].split())} | {'<br>'.join(parts)} |"
    for name, runs in found.items():
        different = results.compare(runs["direct"]["tests"], runs["pgusher"]["tests"])
        if unknown := expected.split(name, different)[1]:
            title = importlib.import_module(f"suites.{name}").TITLE
            tests = ", ".join(f"`{test}`" for test in unknown)
            yield f"| **None.** It ought to be as directly. | {title}: {tests} |"
