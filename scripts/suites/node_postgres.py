"""node-postgres. Its packages on npm have no tests: the directory of its repository must be named."""

import glob
import os
import re
import shutil
import subprocess

from . import command, results, sources

TITLE, VERSION = "node-postgres", "8.23.0"
USERS, EXTENSIONS = {}, []
PACKAGES = [f"pg@{VERSION}", "async@2.6.4", "bluebird@3.7.2", "co@4.6.0", "pg-copy-streams@0.3.0"]
# Without a TLS server and without the binding of libpq they have nothing to test.
LEFT_OUT = ("tls-tests.js", "ssl-tests.js", "native-instance-tests.js")


def prepare():
    """The tests of the same version go into the installed package, whose files they name."""
    source = sources.given("node_postgres")
    if not source:
        raise sources.Missing("set PGUSHER_SUITE_NODE_POSTGRES to a copy of the repository of "
                              f"https://github.com/brianc/node-postgres, tag pg@{VERSION}")
    directory = os.path.join(sources.CACHE, "node")
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, "package.json"), "w", encoding="ascii") as file:
        file.write('{"private": true}')
    subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", *PACKAGES],
                   cwd=directory, check=True)
    package = os.path.join(directory, "node_modules", "pg")
    shutil.rmtree(os.path.join(package, "test"), ignore_errors=True)
    shutil.copytree(os.path.join(source, "packages/pg/test"), os.path.join(package, "test"))
    return package


def run(package, target, run_directory, select):
    """One file after the other. A file says each test that it passes, and ends with the first that
    it does not: those behind it are missing then, and so not passed."""
    found = {}
    for path in sorted(glob.glob(os.path.join(package, "test/integration/**/*-tests.js"),
                                 recursive=True)):
        name = os.path.relpath(path, os.path.join(package, "test/integration"))
        if os.path.basename(name) in LEFT_OUT or (select and name not in select):
            continue
        for _ in range(2):
            log = os.path.join(run_directory, name.replace("/", "."))
            if os.path.exists(log):
                os.rename(log, f"{log}.first")
            code = command.run(["node", path], log, 60, package, target.environment())
            if code == 0:
                break
        said = command.text(log)
        for test in re.findall(r"^  (.+?) ✔$", said, re.M):
            found[f"{name}: {test}"] = results.PASSED, ""
        wrong = re.search(r"^.*?(?:error|Error): .*", said, re.M)
        found[name] = ((results.PASSED, "") if code == 0
                       else (results.FAILED, wrong[0] if wrong else said[-400:]))
    return found
