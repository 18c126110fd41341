"""libpq's pipeline mode: the test program of PostgreSQL's sources, with the libpq of the same."""

import os
import re
import shutil
import subprocess

from . import command, results, sources

TITLE, VERSION = "libpq, pipeline mode", "18.6"
DEBIAN = "18.6-3"
USERS, EXTENSIONS = {}, []


def prepare():
    """Builds no more than libpq and the program; gives the directory of the program."""
    source = sources.debian("libpq", "postgresql-18", DEBIAN, "")
    directory = os.path.join(sources.CACHE, "work", "libpq")
    tests = os.path.join(directory, "src/test/modules/libpq_pipeline")
    if not os.access(os.path.join(tests, "libpq_pipeline"), os.X_OK):
        needed = ("cc", "make", "bison", "flex", "perl")
        if missing := [name for name in needed if not shutil.which(name)]:
            raise sources.Missing(f"{', '.join(missing)}: needed to build libpq")
        sources.fresh_copy(source, "libpq")
        for step in (["./configure", "--without-readline", "--without-zlib", "--without-icu"],
                     ["make", "-j2", "-C", "src/interfaces/libpq"],
                     ["make", "-C", "src/test/modules/libpq_pipeline"]):
            subprocess.run(step, cwd=directory, check=True, stdout=subprocess.DEVNULL)
    return directory, tests


def run(prepared, target, run_directory, select):
    """Each test of the program, as its t/*.pl does. For some it says what libpq's trace must be."""
    directory, tests = prepared
    program = os.path.join(tests, "libpq_pipeline")
    env = {"LD_LIBRARY_PATH": os.path.join(directory, "src/interfaces/libpq")}
    listed = subprocess.run([program, "tests"], env={**os.environ, **env}, check=True,
                            stdout=subprocess.PIPE, text=True).stdout.split()
    runs = [(name, name, "latest") for name in listed] + [("cancel, 3.0", "cancel", "3.0")]
    found = {}
    for title, name, version in runs:
        if select and name not in select:
            continue
        log, trace = (os.path.join(run_directory, f"{title}.{end}") for end in ("log", "trace"))
        dsn = f"{target.dsn()} max_protocol_version={version}"
        code = command.run([program, "-r", "700", "-t", trace, name, dsn], log, 60, tests, env)
        said = " ".join(command.text(log).split())
        found[title] = (results.PASSED if code == 0 else results.FAILED), said[-400:] * (code != 0)
        expected = os.path.join(tests, "traces", f"{name}.trace")
        if title == name and os.path.exists(expected):
            same = _read(trace) == _read(expected)
            found[f"{name}, trace"] = results.PASSED if same else results.FAILED, f"see {trace}"
    return found


def _read(path):
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as file:
        return re.sub(r"^\s+|\s+$", "", file.read())
