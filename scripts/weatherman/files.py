"""JSON Lines that survive bad input, and outputs that are either whole or not there."""
import contextlib
import errno
import fcntl
import hashlib
import os
from pathlib import Path

from weatherman.cli import UserError

MAX_LINE_BYTES = 16 * 2**20  # a JSONL line longer than this is rejected, not loaded: our longest real one is 0.2 MB
CHUNK_BYTES = 2**20


def sha256_bytes(data):
    """Return the hex SHA-256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path):
    """Return the hex SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with open(path, "rb") as handle:
        while chunk := handle.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def sha256_by_name(paths):
    """Return {file name: hex SHA-256} in the order of the names."""
    return {path.name: sha256_file(path) for path in sorted(paths)}


def read_lines(path, max_bytes=MAX_LINE_BYTES):
    r"""Yield (line number from 1, bytes without the line end), split on b"\n" only; None instead of an over-long line."""
    with open(path, "rb") as handle:
        number = 0
        while (line := next_line(handle, max_bytes)) != b"":
            number += 1
            yield number, line if line is None else line.rstrip(b"\r\n")


def next_line(handle, max_bytes=MAX_LINE_BYTES):
    """Return the next line of a binary file with its end, None when it is longer than `max_bytes`, b"" at the end of the file.

    Memory stays below `max_bytes` plus one buffer whatever the file holds.
    """
    line = handle.readline(max_bytes + 1)
    if len(line) <= max_bytes or line.endswith(b"\n"):
        return line
    while line and not line.endswith(b"\n"):
        line = handle.readline(CHUNK_BYTES)
    return None


def read_jsonl(path, on_bad=None):
    """Yield (line number, dict) for each line of a JSON Lines file; blank lines and a BOM are skipped.

    A bad line (not UTF-8, not JSON, not an object, over MAX_LINE_BYTES) goes to `on_bad(line number, reason, excerpt)`;
    without `on_bad` it raises UserError that names file and line. A file that holds nothing raises UserError.
    """
    rows = 0
    for number, line in read_lines(path):
        rows += 1
        if line is None:
            record, reason, excerpt = None, "line_too_long", f"more than {MAX_LINE_BYTES:,} bytes"
        else:
            line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if not line.strip():
                continue
            record, reason = parse_json_line(line)
            excerpt = line[:80].decode("utf-8", "backslashreplace") if reason else None
        if reason is None:
            yield number, record
        elif on_bad is None:
            raise UserError(f"{path}:{number}: {reason.replace('_', ' ')}; expected one JSON object a line. Found: {excerpt}",
                            f"sed -n {number}p '{path}' | head -c 300")
        else:
            on_bad(number, reason, excerpt)
    if rows == 0:
        raise UserError(f"{path}: the file is empty.", "run the step that writes it again")


def parse_json_line(line):
    """Return (dict, None) for the bytes of a line of JSON Lines, (None, reason) for what is no JSON object."""
    import jsonlines
    import orjson
    try:
        return jsonlines.Reader([line], loads=orjson.loads).read(type=dict), None
    except jsonlines.InvalidLineError as error:
        return None, "not_an_object" if "type" in str(error) else "invalid_json" if is_utf8(line) else "invalid_utf8"


def is_utf8(data):
    """Return whether bytes are valid UTF-8."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def to_json_line(record):
    """Return a record as UTF-8 bytes with the line end. Key order is the record's own, so equal records give equal bytes."""
    import orjson
    return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)


@contextlib.contextmanager
def atomic_write(path):
    """Give a binary handle on `PATH.part`; on success fsync and rename it to `path`, on any error leave `path` untouched."""
    with atomic_writes([path]) as (handle,):
        yield handle


@contextlib.contextmanager
def atomic_writes(paths):
    """Give a list of handles, one on each `PATH.part`. Only when all are on the disk are they renamed, in the order of `paths`.

    So neither an error nor a full disk changes any of them, and a process that is killed can stop only between two renames.
    """
    paths = [Path(path) for path in paths]
    with contextlib.ExitStack() as parts:
        handles = [parts.enter_context(_part(path)) for path in paths]
        with _errors_name(paths[0]):  # write(2) does not say which file; one of them will do
            yield handles
        for handle, path in zip(handles, paths):
            with _errors_name(path):
                handle.flush()
                os.fsync(handle.fileno())
        for path in paths:
            os.rename(_part_path(path), path)


def _part_path(path):
    return path.with_name(path.name + ".part")


@contextlib.contextmanager
def _part(path):
    """Give an empty, locked `PATH.part`, removed on any error. A second writer gets a UserError instead of a mixed file."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    part = _part_path(path)
    handle = open(part, "ab")
    try:
        if not _locked(handle, part):
            raise UserError(f"{path}: another run is writing this file now.", "wait for it to end, or pass --output")
        try:
            handle.truncate(0)
            yield handle
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    finally:
        # After a failed flush, close tries once more and fails again; the first error is the one to show.
        with contextlib.suppress(OSError):
            handle.close()


def _locked(handle, part):
    """Return whether we hold the lock on what is called `part` now: another run may have renamed the file since it was opened."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(handle.fileno()), os.stat(part))
    except (BlockingIOError, FileNotFoundError):
        return False


@contextlib.contextmanager
def _errors_name(path):
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def write_bytes(path, data):
    """Write a whole small file atomically."""
    with atomic_write(path) as handle:
        handle.write(data)


def to_json(value):
    """Return a JSON value as indented UTF-8 bytes."""
    import orjson
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS)


def write_json(path, value):
    """Write a JSON value, indented, atomically."""
    write_bytes(path, to_json(value))
