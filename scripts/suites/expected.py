"""The differences that are known, each with its reason: scripts/suites/expected.toml."""

import fnmatch
import os
import tomllib


def load():
    """All entries: a reason and, by suite, the patterns of its tests."""
    path = os.path.join(os.path.dirname(__file__), "expected.toml")
    with open(path, "rb") as file:
        return tomllib.load(file)["difference"]


def split(suite, different):
    """What differs with a reason, what differs without one, and the patterns that nothing needs."""
    patterns = {pattern: [test for test in different if _matches(test, pattern)]
                for entry in load() for pattern in entry["tests"].get(suite, [])}
    known = {test for tests in patterns.values() for test in tests}
    idle = [pattern for pattern, tests in patterns.items() if not tests]
    return sorted(known), [test for test in different if test not in known], idle


def _matches(test, pattern):
    # Brackets are part of the names of parametrised tests.
    return fnmatch.fnmatchcase(test, pattern.replace("[", "[[]"))
