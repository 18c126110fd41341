"""asyncpg, whose source package has its tests."""

import os

from . import command, sources

TITLE, VERSION = "asyncpg", "0.32.0"
USERS, EXTENSIONS = {}, []


def prepare():
    """The tests without the source of the driver, so that the built one is imported."""
    source = sources.pypi("asyncpg", "asyncpg", VERSION)
    program = sources.python(f"asyncpg=={VERSION}", "distro==1.9.0", *sources.PYTEST)
    directory = sources.fresh_copy(os.path.join(source, "tests"), "asyncpg/tests")
    return program, os.path.dirname(directory)


def run(prepared, target, run_directory, select):
    """With PGHOST set it tests that server; what starts servers of its own is skipped by it."""
    program, directory = prepared
    arguments = ["tests", "--ignore=tests/test__sourcecode.py", *select]
    return command.pytest(program, arguments, run_directory, directory, target.environment())
