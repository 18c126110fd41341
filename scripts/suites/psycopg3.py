"""psycopg 3. Its packages on PyPI have no tests: the directory of its repository must be named."""

import os

from . import command, sources

TITLE, VERSION = "psycopg 3", "3.2.13"
USERS, EXTENSIONS = {}, []

# What needs no server at all but other programs, or another server.
LEFT_OUT = ["tests/test_typing.py", "tests/test_module.py", "tests/crdb", "tests/scripts",
            "tests/test_dns.py", "tests/test_dns_srv.py", "tests/test_gevent.py"]


def prepare():
    """The driver as its users install it, the tests of the same version beside it."""
    source = sources.given("psycopg3")
    if not source:
        raise sources.Missing("set PGUSHER_SUITE_PSYCOPG3 to a copy of the repository of psycopg, "
                              f"https://github.com/psycopg/psycopg, tag {VERSION}")
    program = sources.python(f"psycopg[binary]=={VERSION}", "psycopg-pool==3.2.8", "anyio==4.16.0",
                             "pproxy==2.7.9", *sources.PYTEST)
    # Not the package itself: it must be the one that is installed.
    for part in ("tests", "tools"):
        directory = sources.fresh_copy(os.path.join(source, part), f"psycopg3/{part}")
    return program, os.path.dirname(directory)


def run(prepared, target, run_directory, select):
    """All tests but those that its authors call slow."""
    program, directory = prepared
    with open(os.path.join(directory, "pytest.ini"), "w", encoding="ascii") as file:
        file.write("[pytest]\n")
    arguments = ["tests", "-m", "not slow", f"--test-dsn={target.dsn()}",
                 *[f"--ignore={path}" for path in LEFT_OUT], *select]
    # One of its fixtures starts the program pproxy.
    path = os.path.dirname(program) + os.pathsep + os.environ["PATH"]
    return command.pytest(program, arguments, run_directory, directory, {"PATH": path})
