"""The differences that are known, each with its reason: scripts/suites/expected.toml."""

import fnmatch
import os
import tomllib


def load():
    """All entries: suite, tests (patterns as of a shell), reason."""
    path = os.path.join(os.path.dirname(__file__), "expected.toml")
    with open(path, "rb") as file:
        return tomllib.load(file).get("difference", [])


def reason(suite, test):
    """Why this test may fail through pgusher, or nothing."""
    for entry in load():
        if entry["suite"] == suite and any(_matches(test, name) for name in entry["tests"]):
            return entry["reason"]
    return None


def _matches(test, pattern):
    # Brackets are part of the names of parametrised tests.
    return fnmatch.fnmatchcase(test, pattern.replace("[", "[[]"))


def split(suite, tests):
    """Those with a reason and those without."""
    known = [test for test in tests if reason(suite, test)]
    return known, [test for test in tests if test not in known]
