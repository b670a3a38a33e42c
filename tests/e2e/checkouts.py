"""Repositories as people have them: every kind of file, and a checkout in the middle of work."""

from __future__ import annotations

import hashlib
import os
import stat
import tarfile
from pathlib import Path

from tests.engine.repositories import git, write

BIG_BYTES = 3_000_000
EXTRA = "extra"
LONG_TEXT = "".join(f"line {number} of a long text\n" for number in range(200))


def make_files(folder: Path, count: int) -> None:
    """Write a tree of source-like files, a few in each folder."""
    for number in range(count):
        path = folder / f"package{number % 23:02d}" / f"part{number % 7}" / f"module{number:04d}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'"""Module {number}."""\n\n' + f"VALUE_{number} = {number}\n" * 20)


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a source archive, without the folder that it wraps everything in."""
    with tarfile.open(archive) as tar:
        tar.extractall(folder.parent / "unpacked", filter="data")
    (top,) = (folder.parent / "unpacked").iterdir()
    top.rename(folder)


def commit_everything(folder: Path) -> None:
    """Make a folder a repository of all its files and of every awkward kind of file."""
    git(folder, "init", "-q", "-b", "main")
    git(folder, "config", "core.autocrlf", "true")
    git(folder, "config", "core.quotepath", "false")
    _add_submodule(folder)
    write(
        folder,
        {
            ".gitignore": "*.log\nbuild-of-mine/\n",
            f"{EXTRA}/windows.txt": LONG_TEXT.replace("\n", "\r\n"),
            f"{EXTRA}/unix.txt": LONG_TEXT,
            f"{EXTRA}/mixed.txt": "one\r\ntwo\nthree\r\n",
            f"{EXTRA}/no newline.txt": "the end",
            f"{EXTRA}/binary.dat": bytes(range(256)) * 64,
            f"{EXTRA}/big.dat": hashlib.sha256(b"big").digest() * (BIG_BYTES // 32),
            f"{EXTRA}/empty": "",
            f"{EXTRA}/grüße-中文-🙂.txt": "non-ASCII\n",
            f"{EXTRA}/Twin.txt": "upper\n",
            f"{EXTRA}/twin.txt": "lower\n",
            f"{EXTRA}/tab\tand 'quote'.txt": "odd\n",
            f"{EXTRA}/tool.sh": "#!/bin/sh\necho tool\n",
            f"{EXTRA}/to-rename.txt": LONG_TEXT,
            f"{EXTRA}/to-remove.txt": "gone soon\n",
        },
    )
    (folder / EXTRA / "tool.sh").chmod(0o755)
    (folder / EXTRA / "inside").symlink_to("unix.txt")
    (folder / EXTRA / "dangling").symlink_to("nothing-here")
    (folder / EXTRA / "outside").symlink_to("/etc/hostname")
    (folder / EXTRA / "folder").symlink_to("..")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "everything")
    _set_trap(folder)


def _add_submodule(folder: Path) -> None:
    other = folder.parent / "submodule"
    other.mkdir()
    git(other, "init", "-q", "-b", "main")
    write(other, {"sub.txt": "of the submodule\n"})
    git(other, "add", "-A")
    git(other, "commit", "-q", "-m", "submodule")
    allowed = ("-c", "protocol.file.allow=always")
    git(folder, *allowed, "submodule", "--quiet", "add", str(other), "vendored")


def _set_trap(folder: Path) -> None:
    """Leave hooks that would tell, if they ran, by a file beside the repository."""
    for name in ("post-checkout", "post-index-change", "reference-transaction", "pre-commit"):
        hook = folder / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\necho {name} >> {folder.parent}/hooks-ran\n")
        hook.chmod(0o755)


def leave_in_the_middle_of_work(folder: Path) -> None:
    """Leave a stash, and staged, unstaged, untracked and ignored files, as people do."""
    write(folder, {f"{EXTRA}/unix.txt": LONG_TEXT + "stashed\n"})
    git(folder, "stash", "-q")
    write(folder, {f"{EXTRA}/staged.txt": "staged\n", f"{EXTRA}/unix.txt": LONG_TEXT + "staged\n"})
    git(folder, "add", "-A")
    write(
        folder,
        {
            f"{EXTRA}/unix.txt": LONG_TEXT + "staged, then changed\n",
            f"{EXTRA}/windows.txt": "changed\r\n",
            "untracked.txt": "untracked\n",
            "notes.log": "ignored\n",
            "build-of-mine/object.o": b"\0ignored",
            f"{EXTRA}/to-remove.txt": None,
        },
    )
    (folder / EXTRA / "tool.sh").chmod(0o644)


def likeness(folder: Path) -> dict[str, str]:
    """Return everything that is the user's own: files, index, HEAD, branches, stash, status."""
    found = {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if relative.parts[0] != ".git" or _is_the_users(relative):
            found[str(relative)] = _likeness_of(path)
    if not (folder / ".git").exists():
        return found
    found["(status)"] = git(
        folder, "--no-optional-locks", "status", "--porcelain=v2", "--ignored", "--branch"
    )
    found["(stash)"] = git(folder, "stash", "list", "--format=%H %gs")
    found["(branch)"] = git(folder, "for-each-ref", "refs/heads/main", "refs/tags", "refs/remotes")
    return found


def _is_the_users(relative: Path) -> bool:
    own = ("index", "HEAD", "config", "hooks", "info", "modules", "ORIG_HEAD", "description")
    return len(relative.parts) > 1 and relative.parts[1] in own


def _likeness_of(path: Path) -> str:
    status = path.lstat()
    if stat.S_ISDIR(status.st_mode):
        return f"folder {status.st_mode:o}"
    if stat.S_ISLNK(status.st_mode):
        return f"link to {os.readlink(path)}"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"{status.st_mode:o} {status.st_mtime_ns} {digest}"
