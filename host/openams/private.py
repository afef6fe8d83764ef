"""What the host keeps in files, in one place: its owner's alone, whole or not at all.

A file is made under a name that nobody can guess, beside the one that it becomes, and is not
there any more when that fails. The folder must be its owner's: whoever else may write in it
could put another file, or a link to one, in the place of ours. A folder that everybody writes
in, as /tmp, is good where each may take away his own only (the sticky bit); links of others
are not followed there. Files that are there already are believed when they are the user's or
root's and nobody else may write them.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import grp
import os
import pwd
import secrets
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from openams.errors import BenchError

_MODE = 0o600
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_BLOCK = 1 << 16
# What an error of the system leaves a user to find out.
_HINTS = {
    errno.ENOSPC: "make room and call again: what was there is as it was",
    errno.EDQUOT: "make room and call again: what was there is as it was",
    errno.ELOOP: "it is a link: name the file that it leads to",
}


def reason(error: OSError, hint: str = "") -> str:
    """The system's words, and what helps."""
    more = _HINTS.get(error.errno or 0, hint)
    return (error.strerror or str(error)) + (f": {more}" if more else "")


# --- folders -----------------------------------------------------------------------------


def make_folder(path: Path, hint: str = "") -> None:
    """Makes the folder and those above it that are not there, each for its owner alone."""
    try:
        for folder in (*reversed(path.absolute().parents), path):
            # mkdir(parents=True) would give those above the modes of the day.
            if not folder.exists():
                folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise BenchError(f"cannot make {path}: {reason(error, hint)}") from None


@contextlib.contextmanager
def _folder(path: Path, hint: str = "") -> Iterator[tuple[int, bool]]:
    """A descriptor of a folder that is good enough, and whether others have files in it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise BenchError(f"cannot open the folder {path}: {reason(error, hint)}") from None
    try:
        yield descriptor, _shared(path, os.fstat(descriptor), hint)
    finally:
        os.close(descriptor)


def check_folder(path: Path, hint: str = "") -> None:
    """BenchError when somebody else could change what lies in a folder."""
    with _folder(path, hint):
        pass


def _shared(path: Path, found: os.stat_result, hint: str) -> bool:
    """Whether others put files there too; BenchError when they could also take ours away."""
    more = f": {hint}" if hint else ": name a place in a folder of your own"
    if found.st_uid not in (0, os.geteuid()):
        raise BenchError(
            f"the folder {path} is {_user(found.st_uid)}'s, who could change what lies there{more}"
        )
    if not _others_write(found):
        return False
    if not found.st_mode & stat.S_ISVTX:
        raise BenchError(f"others may write in the folder {path}: chmod go-w it, or{more[1:]}")
    return True


def _others_write(found: os.stat_result) -> bool:
    """A group of one's own, which many systems give each user, is nobody else."""
    group = found.st_mode & stat.S_IWGRP and not _own_group(found.st_gid)
    return bool(found.st_mode & stat.S_IWOTH or group)


def _own_group(gid: int) -> bool:
    try:
        user = pwd.getpwuid(os.geteuid())
        members = set(grp.getgrgid(gid).gr_mem)
    except KeyError:
        return False
    return gid == user.pw_gid and members <= {user.pw_name} and (
        gid == 0 or grp.getgrgid(gid).gr_name == user.pw_name
    )  # fmt: skip


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


# --- writing -----------------------------------------------------------------------------


def write_private(
    path: Path, data: bytes, new: bool = False, durable: bool = True, hint: str = ""
) -> None:
    """Puts a file in its place whole; only its owner may read it.

    new: FileExistsError when there is one already, also one that has just come. `durable`: on
    the disk when this returns. `hint`: what helps a user who may not write there.
    """

    def fill(descriptor: int) -> None:
        for at in range(0, len(data), _BLOCK):
            _write_all(descriptor, data[at : at + _BLOCK])

    _put(path, fill, new, durable, hint)


def fill_private(path: Path, octet: int, size: int, durable: bool = True, hint: str = "") -> None:
    """A new file of `size` times the same octet."""
    block = bytes((octet,)) * _BLOCK

    def fill(descriptor: int) -> None:
        for at in range(0, size, _BLOCK):
            _write_all(descriptor, block[: size - at])

    _put(path, fill, True, durable, hint)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _put(path: Path, fill: Callable[[int], None], new: bool, durable: bool, hint: str) -> None:
    with _folder(path.parent, hint) as (folder, _):
        # Not made of the file's name, which may be as long as names get.
        part = f".openams-{secrets.token_hex(12)}"
        try:
            descriptor = os.open(part, _NEW, _MODE, dir_fd=folder)
            try:
                try:
                    os.fchmod(descriptor, _MODE)  # whatever the umask
                    fill(descriptor)
                    if durable:
                        os.fsync(descriptor)
                finally:
                    os.close(descriptor)
                if new:
                    _claim(part, path.name, folder)
                else:
                    os.replace(part, path.name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(part, dir_fd=folder)
                raise
            if durable:
                os.fsync(folder)
        except FileExistsError:
            raise
        except OSError as error:
            raise BenchError(f"cannot write {path}: {reason(error, hint)}") from None


def _claim(part: str, name: str, folder: int) -> None:
    """FileExistsError when the name is taken: renaming alone would not say so."""
    try:
        os.link(part, name, src_dir_fd=folder, dst_dir_fd=folder)
        os.unlink(part, dir_fd=folder)
    except FileExistsError:
        raise
    except OSError:
        # A file system without such links. For a moment it is there, and empty.
        os.close(os.open(name, _NEW, _MODE, dir_fd=folder))
        try:
            os.replace(part, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=folder)
            raise


# --- what is there already ---------------------------------------------------------------


def open_private(path: Path, flags: int = os.O_RDONLY, hint: str = "") -> int:
    """A descriptor of a file that is the user's own, of root's, or made now (O_CREAT).

    Raises FileNotFoundError where there is none; BenchError for what others may have written.
    """
    with _folder(path.parent, hint) as (folder, shared):
        flags |= os.O_CLOEXEC | (os.O_NOFOLLOW if flags & os.O_CREAT else 0)
        try:
            if shared and not flags & os.O_CREAT:
                _followed(path, os.lstat(path.name, dir_fd=folder))
            # Not waiting: it could be a pipe that somebody made.
            descriptor = os.open(path.name, flags | os.O_NONBLOCK, _MODE, dir_fd=folder)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise BenchError(f"cannot open {path}: {reason(error, hint)}") from None
        try:
            _believed(path, os.fstat(descriptor), shared)
            os.set_blocking(descriptor, True)
        except BaseException:
            os.close(descriptor)
            raise
    return descriptor


def _followed(path: Path, found: os.stat_result) -> None:
    """In a folder of everybody's the links of others lead nowhere."""
    if stat.S_ISLNK(found.st_mode) and found.st_uid not in (0, os.geteuid()):
        raise BenchError(f"{path} is a link of {_user(found.st_uid)}'s: name the file itself")


def _believed(path: Path, found: os.stat_result, shared: bool) -> None:
    if found.st_uid not in (0, os.geteuid()):
        raise BenchError(
            f"{path} is {_user(found.st_uid)}'s file: copy it to one of your own if you trust it"
        )
    if _others_write(found):
        raise BenchError(f"others may write {path}: chmod 600 it if you trust what is in it")
    if shared and found.st_nlink > 1:
        raise BenchError(f"{path} has another name elsewhere: copy it to a folder of your own")


def read_private(path: Path, secret: bool = False, hint: str = "") -> bytes:
    """What is in a file that is believed; `secret`: BenchError when others may read it.

    Raises FileNotFoundError where there is none.
    """
    descriptor = open_private(path, hint=hint)
    with os.fdopen(descriptor, "rb") as stream:
        if secret and os.fstat(descriptor).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise BenchError(f"others may read {path}: chmod 600 it")
        try:
            return stream.read()
        except OSError as error:
            raise BenchError(f"cannot read {path}: {reason(error)}") from None


def close_to_others(descriptor: int) -> None:
    """Takes from a file that is ours what others may read."""
    with contextlib.suppress(OSError):
        if os.fstat(descriptor).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            os.fchmod(descriptor, _MODE)


@contextlib.contextmanager
def locked(path: Path, hint: str = "") -> Iterator[None]:
    """Holds a lock file, made when it is not there; waits for whoever has it."""
    descriptor = open_private(path, os.O_RDWR | os.O_CREAT, hint)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Whether nobody else has the lock of an open file; it goes when the file is closed."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
