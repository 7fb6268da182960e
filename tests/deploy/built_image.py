"""The image, built with Buildah, which needs no daemon, and run without an engine.

The base comes from Debian's packages as well, under the name that the Dockerfile asks for. So what
is tried is the Dockerfile on another base than the one of Docker's registry; the Python is as old.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from .programs import DEPLOY, ROOT, program

BASE: Final = "docker.io/library/python:3.11-slim"
IMAGE: Final = "localhost/clusterpass"
SUITE: Final = "bookworm"
"""The release of Debian whose Python is that of the base."""
PACKAGES: Final = ("python3", "python3-venv", "python-is-python3", "ca-certificates")
CERTIFICATES: Final = Path("/etc/ssl/certs")
_LONGEST: Final = 1200


class Images:
    """Images in a folder of their own, which no other program looks into."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def buildah(self, *arguments: object) -> str:
        """Run Buildah to its end; return what it printed last."""
        places = ("--root", self._folder / "images", "--runroot", self._folder / "run")
        done = subprocess.run(
            [program("buildah"), *map(str, (*places, *arguments))],
            # Processes of a build see the network and the user of the machine: no more is needed.
            env={**os.environ, "STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot"},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=_LONGEST,
        )
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return done.stdout.strip()

    def make_base(self) -> None:
        """Make the base from packages."""
        archive = self._folder / "base.tar"
        subprocess.run(
            [
                *(program("mmdebstrap"), "--quiet", "--variant=minbase"),
                *(f"--include={','.join(PACKAGES)}", SUITE, str(archive)),
            ],
            check=True,
            timeout=_LONGEST,
            stdin=subprocess.DEVNULL,
        )
        container = self.buildah("from", "scratch")
        self.buildah("add", "--quiet", container, archive, "/")
        self.buildah("commit", "--quiet", container, BASE)
        self.buildah("rm", container)
        archive.unlink()

    def build(self) -> None:
        """Build the Dockerfile as it is, with what pip is told on this machine."""
        settings = self._folder / "pip.conf"
        lines = ["[global]", "disable-pip-version-check = true"]
        if certificate := os.environ.get("PIP_CERT"):
            lines.append(f"cert = {certificate}")
        settings.write_text("\n".join(lines) + "\n")
        self.buildah(
            *("build", "--pull-never", "--format", "docker", "--tag", IMAGE),
            *("--volume", f"{CERTIFICATES}:{CERTIFICATES}:ro"),
            *("--volume", f"{settings}:/etc/pip.conf:ro"),
            *("--ignorefile", DEPLOY / "docker" / "Dockerfile.dockerignore"),
            *("--file", DEPLOY / "docker" / "Dockerfile", "."),
        )

    def configuration(self) -> dict[str, Any]:
        """Return the configuration of the image: how it is to be run."""
        described = json.loads(self.buildah("inspect", "--type", "image", IMAGE))
        found: dict[str, Any] = described["Docker"]["config"]
        return found

    @contextmanager
    def mounted(self) -> Iterator[Path]:
        """The file system of a container of the image."""
        container = self.buildah("from", "--pull-never", IMAGE)
        try:
            yield Path(self.buildah("mount", container))
        finally:
            self.buildah("rm", container)


_RUN: Final = """
mount --make-rprivate /
mount --bind "$FILES" "$FILES"
mount -t proc proc "$FILES/proc"
mount -t tmpfs -o nosuid,noexec,mode=755,size=64k tmpfs "$FILES/dev"
for name in null zero random urandom; do
  touch "$FILES/dev/$name"
  mount --bind "/dev/$name" "$FILES/dev/$name"
done
mount --bind "$KEYS" "$FILES/var/lib/clusterpass"
mount -o remount,bind,ro "$FILES/var/lib/clusterpass"
mount -o remount,bind,ro "$FILES"
exec env -i "$@"
"""


def container(
    files: Path, configuration: dict[str, Any], keys: Path, *arguments: str, **env: str
) -> tuple[list[str], dict[str, str]]:
    """The command that runs the image as the composition and the chart do, and its environment.

    The root is read-only, no capability is left, the program is process number 1 of its namespace
    and has the variables of the image alone. The network is that of the machine.
    """
    user, group = configuration["User"].split(":")
    variables = [*configuration["Env"], *(f"{name}={value}" for name, value in env.items())]
    command = [
        *("unshare", "--mount", "--pid", "--fork", "--kill-child"),
        *("sh", "-ec", _RUN, "container"),
        *(*variables, "chroot", str(files)),
        *("setpriv", "--reuid", user, "--regid", group, "--clear-groups", "--no-new-privs"),
        *("--inh-caps=-all", "--bounding-set=-all"),
        *(*configuration["Entrypoint"], *(arguments or configuration["Cmd"])),
    ]
    return command, {"PATH": os.environ["PATH"], "FILES": str(files), "KEYS": str(keys)}
