"""What a suite said of its tests, from the formats in which suites say it."""

import os
import re
import xml.etree.ElementTree

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


def from_junit(path):
    """JUnit's XML as pytest writes it: name → (result, last line of what went wrong)."""
    results = {}
    for case in xml.etree.ElementTree.parse(path).iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        wrong = [child for child in case if child.tag in ("failure", "error")]
        if wrong:
            results[name] = FAILED, (wrong[0].get("message") or "").strip()[:400]
        elif case.find("skipped") is not None and name not in results:
            results[name] = SKIPPED, ""
        else:
            results.setdefault(name, (PASSED, ""))
    return results


def from_libtest(text, prefix=""):
    """The lines of `cargo test`: name → (result, message)."""
    results = {}
    for name, said in re.findall(r"^test (\S+).*? \.\.\. .*?(ok|FAILED|ignored)\b", text, re.M):
        result = {"ok": PASSED, "FAILED": FAILED, "ignored": SKIPPED}[said]
        results[prefix + name] = result, ""
    for name, said in re.findall(r"^---- (\S+) stdout ----\n(.*?)(?=\n\n|\Z)", text, re.M | re.S):
        if results.get(prefix + name, ("",))[0] == FAILED:
            results[prefix + name] = FAILED, " ".join(said.split())[:400]
    return results


def count(results):
    """How many (ran, failed)."""
    ran = [result for result, _ in results.values() if result != SKIPPED]
    return len(ran), ran.count(FAILED)


def compare(direct, pgusher):
    """Names of the tests that pass directly and do not through pgusher. One that is missing there,
    as its run was cut off, has not passed."""
    return sorted(
        name for name, (result, _) in direct.items()
        if result == PASSED and pgusher.get(name, (FAILED, ""))[0] != PASSED
    )


def message(results, name):
    """What went wrong."""
    return results.get(name, (FAILED, "was not run"))[1]


def short(path):
    """A path as one reads it."""
    return os.path.relpath(path)
