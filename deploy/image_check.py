"""The Dockerfile's steps, carried out by hand in empty Debian trees, and the result started as a container would be.

    make image-check        as root, with debootstrap; uses Debian's and Python's package registries

Counterpart: `dockerfile.py` reads the steps, so that what is checked is the Dockerfile itself and not a copy of it.
Never: a container engine, or anything outside its scratch folder; mounts live in namespaces that end with the command.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from deploy.dockerfile import Ignore, Instruction, Stage, assignments, stages
from deploy.image_run import check_running

CLONE = Path(__file__).resolve().parent.parent
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
CERTIFICATES_INSIDE = "/run/certificates.crt"
TRUST = dict.fromkeys(("PIP_CERT", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"), CERTIFICATES_INSIDE)
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class CheckError(Exception):
    """A step of the image failed; the message names it."""


class Tree:
    """One stage while it is built: a root filesystem, and what ENV, WORKDIR and USER said so far."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environ = {"PATH": PATH}
        self.folder = "/"
        self.user = "0:0"

    def inside(self, path: str) -> Path:
        """Where a path of the image is on this machine."""
        return self.root / (Path(self.folder) / path).as_posix().lstrip("/")

    def command(self, command: Sequence[str], *, user: str) -> list[str]:
        """`command` in the tree, with /proc and /dev, in a mount namespace of its own."""
        mounts = f"mount -t proc proc {self.root}/proc && mount --rbind /dev {self.root}/dev"
        inside = f"cd {shlex.quote(self.folder)} && exec {shlex.join(command)}"
        chroot = shlex.join(["chroot", f"--userspec={user}", str(self.root), "/bin/sh", "-c", inside])
        return ["unshare", "--mount", "/bin/sh", "-c", f"{mounts} && exec {chroot}"]


def build(dockerfile: str, ignore: Ignore, scratch: Path) -> tuple[Stage, Tree]:
    """Carry out every stage; the last one and its tree."""
    trees: dict[str, Tree] = {}
    found = stages(dockerfile)
    for number, stage in enumerate(found):
        name = stage.name or str(number)
        trees[name] = Tree(new_root(stage.base, scratch, number))
        for instruction in stage.instructions:
            carry_out(instruction, trees[name], trees, ignore)
    return found[-1], trees[found[-1].name or str(len(found) - 1)]


def new_root(base: str, scratch: Path, number: int) -> Path:
    """An empty Debian tree for a stage; `debian:trixie-slim` is what debootstrap calls the minimal base of trixie."""
    image, _, tag = base.partition(":")
    suite = tag.removesuffix("-slim")
    if image != "debian" or not suite:
        raise CheckError(f"FROM {base}: only debian:SUITE-slim can be made by hand")
    pristine = scratch / suite
    if not pristine.exists():
        print(f"FROM {base}: debootstrap", flush=True)
        done = subprocess.run(
            ["debootstrap", "--variant=minbase", suite, str(pristine)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise CheckError(f"debootstrap {suite}: {done.stdout.strip().splitlines()[-1:]}")
    root = scratch / f"stage-{number}"
    subprocess.run(["cp", "--archive", "--reflink=auto", str(pristine), str(root)], check=True)
    shutil.copy("/etc/resolv.conf", root / "etc" / "resolv.conf")
    if CERTIFICATES.exists():
        shutil.copy(CERTIFICATES, root / CERTIFICATES_INSIDE.lstrip("/"))
    return root


def carry_out(instruction: Instruction, tree: Tree, trees: dict[str, Tree], ignore: Ignore) -> None:
    """One instruction. What only an engine knows (LABEL, EXPOSE, …) changes no file."""
    match instruction.keyword:
        case "RUN":
            execute(instruction, tree)
        case "COPY":
            copy(instruction, tree, trees, ignore)
        case "ENV":
            tree.environ |= assignments(instruction.text, tree.environ)
        case "WORKDIR":
            tree.folder = instruction.text
            tree.inside(".").mkdir(parents=True, exist_ok=True)
        case "USER":
            tree.user = instruction.text
        case _:
            pass


def execute(instruction: Instruction, tree: Tree) -> None:
    """RUN, quietly; what it said is shown where it fails."""
    print(f"RUN {instruction.text[:110]}", flush=True)
    started_s = time.monotonic()
    done = subprocess.run(
        tree.command(instruction.command, user=tree.user),
        env={**tree.environ, **TRUST, "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise CheckError(f"RUN {instruction.text}\n{done.stdout[-4000:]}\nexit code {done.returncode}")
    print(f"    {time.monotonic() - started_s:.0f} s", flush=True)


def copy(instruction: Instruction, tree: Tree, trees: dict[str, Tree], ignore: Ignore) -> None:
    """COPY from the clone, as far as .dockerignore lets it see, or from another stage."""
    *sources, target = instruction.words
    destination = tree.inside(target)
    if stage := instruction.options.get("from"):
        for source in sources:
            place(trees[stage].root / source.lstrip("/"), destination)
        return
    for source in sources:
        seen = visible(CLONE / source, ignore)
        if not seen:
            raise CheckError(f"COPY {source}: not there, or hidden by .dockerignore")
        for path in seen:
            inner = path.relative_to(CLONE / source)
            into_folder = target.endswith("/") or target == "."
            own = Path(source) if into_folder and not (CLONE / source).is_dir() else inner
            place(path, destination / own if str(own) != "." else destination)


def visible(top: Path, ignore: Ignore) -> list[Path]:
    """The files at or under `top` that COPY sees."""
    found: list[Path] = []
    for folder, folders, names in os.walk(top) if top.is_dir() else [(str(top.parent), [], [top.name])]:
        folders[:] = [name for name in folders if name not in (".git", ".venv", ".layout-mutation", "__pycache__")]
        paths = (Path(folder) / name for name in names)
        found += [path for path in paths if path.exists() and ignore.sees(path.relative_to(CLONE).as_posix())]
    return found


def place(source: Path, destination: Path) -> None:
    """Copy a file or a folder with its links and modes."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, destination, symlinks=True, dirs_exist_ok=True)
    else:
        shutil.copy2(source, destination)


def main() -> int:
    """0 the image works, 1 it does not, 3 it can't be tried here."""
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        print("image-check needs root and debootstrap (Debian package: debootstrap)", file=sys.stderr)
        return 3
    ignore = Ignore((CLONE / ".dockerignore").read_text(encoding="utf-8"))
    scratch = Path(tempfile.mkdtemp(prefix="layout-mutation-image-"))
    try:
        stage, tree = build((CLONE / "Dockerfile").read_text(encoding="utf-8"), ignore, scratch)
        check_running(stage, tree.root, tree.environ, tree.folder)
    except (CheckError, AssertionError) as error:
        print(f"image-check: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(scratch)
    print("image-check: the image's steps give a working sidecar and control plane")
    return 0


if __name__ == "__main__":
    sys.exit(main())
