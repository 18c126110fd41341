"""Other poolers out of Debian, which run on other Linux systems too, with libraries of their own.

PgBouncer keeps prepared statements in transaction mode since 1.21, and the stable releases that
many still run have an older one; Odyssey is in no stable release. The packages come from Debian's
archive through apt, which checks their signatures, with everything that a program is linked to,
down to the C library. Nothing is installed: apt works in a directory of its own, and the loader of
that C library starts the program.
"""

import dataclasses
import glob
import os
import shutil
import subprocess

from .processes import Failed

ARCHIVE = "http://deb.debian.org/debian"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# What both are linked to, and what that is linked to.
LIBRARIES = (
    "libc6", "libssl3t64", "zlib1g", "libzstd1", "libsystemd0", "libcap2", "libpam0g", "libaudit1",
    "libcap-ng0",
)


@dataclasses.dataclass
class Program:
    """A package, in which release it is, and what it has beside the common libraries."""

    package: str
    suite: str
    path: str
    libraries: tuple = ()

    def command(self, cache, directory):
        """What runs it. Packages stay in `cache`; they are unpacked in `directory`."""
        packages = os.path.join(cache, f"debian-{self.suite}-{self.package}")
        if not os.path.isdir(packages):
            self._download(packages)
        root = os.path.join(directory, os.path.basename(packages))
        if not os.path.isdir(root):
            for package in glob.glob(os.path.join(packages, "*.deb")):
                _run(["dpkg", "-x", package, root])
        loaders = glob.glob(os.path.join(root, "usr/lib/*/ld-linux*.so.*"))
        if len(loaders) != 1:
            raise Failed(f"{len(loaders)} loaders in the C library of Debian {self.suite}")
        libraries = os.path.dirname(loaders[0])
        program = os.path.join(root, self.path)
        # Without the cache of the system's own libraries: it must not take one of those by mistake.
        return [loaders[0], "--inhibit-cache", "--library-path", libraries, program]

    def _download(self, packages):
        """All or nothing: half of them would be taken for all the next time."""
        if not (shutil.which("apt-get") and shutil.which("dpkg") and os.path.exists(KEYRING)):
            raise Failed("needs apt, dpkg and debian-archive-keyring")
        print(f"getting {self.package} of Debian {self.suite} …", flush=True)
        partly = packages + ".part"
        shutil.rmtree(partly, ignore_errors=True)
        apt = os.path.join(partly, "apt")
        for name in ("state/lists/partial", "cache/archives/partial"):
            os.makedirs(os.path.join(apt, name))
        sources, status = os.path.join(apt, "sources.list"), os.path.join(apt, "status")
        with open(sources, "w", encoding="ascii") as file:
            file.write(f"deb [signed-by={KEYRING} target=Packages] {ARCHIVE} {self.suite} main\n")
        with open(status, "w", encoding="ascii"):
            pass
        options = [
            f"Dir::State={apt}/state", f"Dir::State::status={status}", f"Dir::Cache={apt}/cache",
            f"Dir::Etc::SourceList={sources}", "Dir::Etc::SourceParts=/dev/null",
            # As root it would work as a user who may not write here.
            "APT::Sandbox::User=root",
        ]
        command = ["apt-get", "-qq", *(part for option in options for part in ("-o", option))]
        try:
            _run([*command, "update"])
            _run([*command, "download", self.package, *LIBRARIES, *self.libraries], cwd=partly)
            shutil.rmtree(apt)
            os.rename(partly, packages)
        finally:
            shutil.rmtree(partly, ignore_errors=True)


def _run(command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        raise Failed(f"{command[0]}: {lines[-1]}")


PGBOUNCER = Program("pgbouncer", "trixie", "usr/sbin/pgbouncer", ("libcares2", "libevent-2.1-7t64"))
ODYSSEY = Program("odyssey", "sid", "usr/bin/odyssey")
