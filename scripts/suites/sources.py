"""Where the suites come from: packages with pinned versions, unpacked below .cache/suites.

`PGUSHER_SUITE_<NAME>=/directory` names a copy that is there already.
"""

import glob
import os
import shutil
import subprocess
import tarfile
import tempfile

from .servers import ROOT

CACHE = os.path.join(ROOT, ".cache", "suites")


# What runs the suites that are written in Python.
PYTEST = ["pytest==9.2.0", "pytest-timeout==2.4.0"]


class Missing(Exception):
    """A suite cannot be had here; the text says what to do."""


def given(suite):
    """The directory that the environment names for this suite."""
    return os.environ.get(f"PGUSHER_SUITE_{suite.upper()}")


def python(*packages):
    """The interpreter of a virtual environment that has these packages."""
    directory = os.path.join(CACHE, "python")
    program = os.path.join(directory, "bin", "python")
    if not os.access(program, os.X_OK):
        subprocess.run(["python3", "-m", "venv", directory], check=True)
    if packages:
        subprocess.run([program, "-m", "pip", "install", "--quiet",
                        "--disable-pip-version-check", *packages], check=True)
    return program


def pypi(suite, package, version):
    """A source package from PyPI, which has its tests in it."""
    if there := given(suite):
        return there
    target = os.path.join(CACHE, f"{package}-{version}")
    if not os.path.isdir(target):
        with tempfile.TemporaryDirectory() as work:
            subprocess.run(
                [python(), "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
                 "--no-deps", "--no-binary", ":all:", "--dest", work, f"{package}=={version}"],
                check=True,
            )
            _unpack(glob.glob(os.path.join(work, "*.tar.gz"))[0], target)
    return target


def crate(suite, name, version):
    """The source of a crate, out of cargo's own cache."""
    if there := given(suite):
        return there
    target = os.path.join(CACHE, f"{name}-{version}")
    if not os.path.isdir(target):
        with tempfile.TemporaryDirectory() as work:
            os.mkdir(os.path.join(work, "src"))
            open(os.path.join(work, "src", "lib.rs"), "w", encoding="ascii").close()
            with open(os.path.join(work, "Cargo.toml"), "w", encoding="ascii") as file:
                file.write('[package]\nname = "fetch"\nversion = "0.0.0"\nedition = "2024"\n'
                           f'[dependencies]\n{name} = "={version}"\n')
            subprocess.run(["cargo", "fetch", "--quiet"], cwd=work, check=True)
        home = os.environ.get("CARGO_HOME", os.path.expanduser("~/.cargo"))
        source = glob.glob(os.path.join(home, "registry/src/*", f"{name}-{version}"))[0]
        shutil.copytree(source, target)
    return target


def debian(suite, package, version, inside):
    """The upstream part of a Debian source package. `inside`: what the tests need of it."""
    if there := given(suite):
        return there
    target = os.path.join(CACHE, f"{package}-{version}")
    if os.path.isdir(target):
        return target
    if not shutil.which("apt-get"):
        raise Missing(f"no apt-get here: set PGUSHER_SUITE_{suite.upper()} to a directory with "
                      f"the source of {package} {version}")
    with tempfile.TemporaryDirectory() as work:
        # Lists of its own: the machine's sources stay as they are, and nobody needs to be root.
        os.makedirs(os.path.join(work, "lists", "partial"))
        os.makedirs(os.path.join(work, "archives", "partial"))
        with open(os.path.join(work, "s.sources"), "w", encoding="ascii") as file:
            file.write("Types: deb-src\nURIs: http://deb.debian.org/debian\n"
                       "Suites: stable sid\nComponents: main\n"
                       "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n")
        options = [f"-oDir::Etc::sourcelist={work}/s.sources", "-oDir::Etc::sourceparts=/dev/null",
                   f"-oDir::State::lists={work}/lists", f"-oDir::Cache={work}"]
        done = subprocess.run(["apt-get", "-qq", *options, "update"], check=False)
        done = done.returncode or subprocess.run(
            ["apt-get", "-qq", *options, "source", "--download-only", "--only-source",
             f"{package}={version}"], cwd=work, check=False).returncode
        archives = glob.glob(os.path.join(work, "*.orig.tar.*"))
        if done or not archives:
            raise Missing(f"Debian does not offer the source of {package} {version} here: set "
                          f"PGUSHER_SUITE_{suite.upper()} to a directory with it")
        _unpack(archives[0], target, inside)
    return target


def _unpack(archive, target, inside=""):
    """Without the directory that such archives begin with."""
    with tempfile.TemporaryDirectory(dir=CACHE) as work:
        with tarfile.open(archive) as tar:
            tar.extractall(work, filter="data")
        (top,) = os.listdir(work)
        os.rename(os.path.join(work, top, inside), target)


def fresh_copy(source, name):
    """A copy that may be changed: the source stays as it came."""
    target = os.path.join(CACHE, "work", name)
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, symlinks=True)
    return target
