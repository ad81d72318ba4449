"""What may move between two machines, and the manifest of what lies here: {name: (sha256, bytes)}, absent files left out.

A name is a path with "/" relative to the repository, to WEATHERMAN_BASE_DIR, or to the work folder of the other side.
"""
import os
import re
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from weatherman.cli import UserError
from weatherman.files import sha256_file

# requirements-*.in: setup_remote.sh --cpu installs from one of them.
CODE = ("scripts", "configs", "requirements-*.txt", "requirements-*.in", "environment-remote.yml", "setup_remote.sh", "Makefile",
        "pyproject.toml", "README.md")
DATA = ("data/processed", "data/synthetic")
RESULTS = ("adapters",)
PARTIAL_DIR = ".rsync-partial"  # where rsync keeps what has arrived of a file
PARTS_DIR = ".weatherman-part"  # where the transfers without rsync do
# Withheld wherever they lie, in both directions; compared with every part of the path, in lower case.
SECRETS = (".env*", "hosts.yaml*", ".netrc", ".npmrc", ".pypirc", ".git-credentials", ".ssh", ".aws", ".config", ".docker", ".gnupg",
           ".cache", ".huggingface", "*.pem", "*.key", "*.ppk", "*.p12", "*.pfx", "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*",
           "known_hosts*", "authorized_keys*", "rclone.conf", "credentials*", "client_secret*", "service_account*", "token")
WORK_FILES = (".git", ".venv*", "venv", "__pycache__", "*.pyc", "*.part", PARTIAL_DIR, PARTS_DIR, ".ds_store", "._*")
KEY_HEAD_BYTES = 4096  # where a private key says what it is; a service account's JSON says so in its first kilobyte
# In the syntax that Python and grep -E share.
KEY_PATTERN = r'(^|")-----BEGIN [A-Z0-9 ]*PRIVATE KEY|^PuTTY-User-Key-File'
PRIVATE_KEY, UNREADABLE = "private key", "unreadable"  # stand in a manifest where a sha256 would


def is_withheld(name):
    """True when a part of the relative path names a secret or a work file."""
    return any(fnmatchcase(part.lower(), pattern) for part in PurePosixPath(name).parts for pattern in SECRETS + WORK_FILES)


def is_private_key(path):
    """True when the file begins as a private key does (PEM, OpenSSH, PGP, PuTTY, a service account's JSON), whatever its name."""
    with open(path, "rb") as handle:
        head = handle.read(KEY_HEAD_BYTES)
    return re.search(KEY_PATTERN.encode(), head, re.MULTILINE) is not None


def list_local(root, entries):
    """Return (names, withheld): the regular files below `entries` (names or globs under `root`) as sorted paths relative to it.

    A link as an entry is followed (data on another disk); links below are withheld: they may lead anywhere.
    """
    names, withheld = [], []
    for top in sorted({path for entry in entries for path in Path(root).glob(entry)}):
        found = [top]
        if top.is_dir():
            found = []
            for folder, folders, files in os.walk(top):
                below = Path(folder)
                closed = [d for d in folders if (below / d).is_symlink() or is_withheld((below / d).relative_to(root).as_posix())]
                folders[:] = [d for d in folders if d not in closed]
                found += [below / file for file in closed + files]
        for path in found:
            name = path.relative_to(root).as_posix()
            movable = not is_withheld(name) and path.is_file() and not path.is_symlink() and not is_private_key(path)
            (names if movable else withheld).append(name)
    return sorted(names), sorted(withheld)


def sort_listed(found, entries, whose):
    """Return (names, withheld) of what the other side (`whose`) listed below `entries`. Raises UserError for a name outside them.

    The other side is not trusted with where files land here.
    """
    for name in found:
        below = any(fnmatchcase(name, entry) or name.startswith(f"{entry}/") for entry in entries)
        if ".." in PurePosixPath(name).parts or name.startswith("/") or not below:
            raise UserError(f"{whose}: named a file outside {' '.join(entries)}: {printable(name)}")
    return sorted(n for n in found if not is_withheld(n)), sorted(n for n in found if is_withheld(n))


def local_manifest(roots):
    """Return the manifest of `roots`, {name: local folder it is relative to}."""
    manifest = {}
    for name, root in roots.items():
        path = root / name
        try:
            if path.is_file():
                manifest[name] = (sha256_file(path), path.stat().st_size)
        except FileNotFoundError:  # gone since it was looked at
            continue
    return manifest


def printable(name):
    """Return a file name with what a terminal would act on (line ends, escapes, broken UTF-8) as backslash escapes."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in os.fspath(name))
