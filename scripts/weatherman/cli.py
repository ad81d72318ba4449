"""Errors with a way out, the flags that scripts share, progress and tables."""
import argparse
import errno
import os
import signal
import sys
import time

from config_loader import ConfigError
from paths import CONFIGS_DIR

DONE, MENDABLE, GATE, INTERRUPTED = 0, 1, 3, 75  # exit statuses; 2 is ConfigError's and argparse's
PLAIN_PROGRESS_S = 10  # seconds between progress lines where stderr is not a terminal


class UserError(Exception):
    """Something the user can mend. `hint` is the next thing to type."""

    status = MENDABLE

    def __init__(self, message, hint=None):
        super().__init__(message)
        self.hint = hint


class GateError(UserError):
    """A check that guards data or money said no."""

    status = GATE


class Interrupted(KeyboardInterrupt):
    """SIGTERM arrived: leave in order, the same command resumes. Like Ctrl-C, no library's `except Exception` may stop it."""


def run(main, argv=None):
    """Run `main(argv)` and return the exit status. User errors are printed without a traceback; bugs keep theirs."""
    try:
        signal.signal(signal.SIGTERM, _raise_interrupted)
        return main(argv)
    except (UserError, ConfigError) as error:
        print_error(str(error), error.hint)
        return error.status
    except KeyboardInterrupt:
        print_error("interrupted; finished outputs are whole.", "the same command again, it continues from there")
        return INTERRUPTED
    except BrokenPipeError:  # `script | head` closed our stdout: nothing more can be said there
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except OSError as error:
        mendable = describe_os_error(error)
        if mendable is None:
            raise
        print_error(*mendable)
        return MENDABLE


def _raise_interrupted(signum, frame):
    raise Interrupted


def describe_os_error(error):
    """Return (message, hint) for the file-system errors people meet, None for every other OSError."""
    where = error.filename or "the output"
    known = {
        errno.ENOSPC: (f"{where}: the disk is full; the previous output is untouched.",
                       "python scripts/check_storage.py, free some space, then the same command again"),
        errno.EDQUOT: (f"{where}: the disk quota is used up; the previous output is untouched.",
                       "free some space, then the same command again"),
        errno.EROFS: (f"{where}: the file system is read-only.", "--output on a disk that can be written"),
        errno.EACCES: (f"{where}: permission denied.", f"ls -ld '{where}'"),
        errno.EPERM: (f"{where}: operation not permitted.", f"ls -ld '{where}'"),
        errno.ENOENT: (f"{where}: no such file or folder.", "check the spelling, or run the step that makes it"),
        errno.EISDIR: (f"{where}: is a folder; a file was expected.", f"ls '{where}'"),
        errno.ENOTDIR: (f"{where}: a part of this path is a file, not a folder.", f"ls -ld '{where}'"),
    }
    return known.get(error.errno)


def print_error(message, hint=None):
    print(message, file=sys.stderr)
    if hint:
        print(f"  Try: {hint}", file=sys.stderr)


_log_files = []


def log(message):
    """Print one line to stderr (logs never mix with results) and to the files given to `tee`."""
    for handle in (sys.stderr, *_log_files):
        print(message, file=handle, flush=True)


def tee(path):
    """Append all further log lines to a file as well."""
    _log_files.append(open(path, "a", encoding="utf-8"))


def parser(doc, **kwargs):
    """Return an ArgumentParser whose help is the script's docstring. Flags the user did not type stay None."""
    return argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter, **kwargs)


def add_config_flags(flags):
    """Add the flags of every script that reads the data configuration and prints a result."""
    flags.add_argument("--config", metavar="FILE", help="data configuration (default: configs/data_config.yaml)")
    flags.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], dest="overrides",
                       help="override one value, e.g. --set dedup.threshold=0.9; may be repeated")
    flags.add_argument("--json", action="store_true", help="print the result as one JSON object")


def add_data_flags(flags, workers=False):
    """Add the flags every data step has (DESIGN §4). --workers only where the step uses it."""
    add_config_flags(flags)
    flags.add_argument("--output", metavar="FILE", help="write here instead of the usual place")
    flags.add_argument("--seed", type=int, help="override the configured seed")
    if workers:
        flags.add_argument("--workers", type=positive_int, help="processes (default: all cores); the bytes do not depend on it")
    flags.add_argument("--dry-run", action="store_true", help="say what would be read and written; write nothing")
    flags.add_argument("--force", action="store_true", help="redo the work although nothing changed")


def add_training_flags(flags):
    """Add the flags that say what is trained: the layers of a training configuration, and --json."""
    flags.add_argument("--config", default=str(CONFIGS_DIR / "training_config.yaml"), metavar="FILE")
    flags.add_argument("--model", help="a name of configs/models.yaml")
    flags.add_argument("--hardware", help="a name of configs/hardware/")
    flags.add_argument("--preset", help="a name of configs/presets/")
    flags.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], dest="overrides",
                       help="override one value, e.g. --set training.learning_rate=1.0e-4; may be repeated")
    flags.add_argument("--json", action="store_true", help="print the result as one JSON object")


def run_training(work, args):
    """Return the exit status of `work(args)` -> (status, figures); with --json the figures, if there are any, are printed as one object."""
    import contextlib
    import json
    with contextlib.redirect_stdout(sys.stderr):  # some libraries print; stdout holds our result alone
        status, figures = work(args)
    if args.json and figures:
        print(json.dumps(figures))
    return status


def positive_int(text):
    """argparse type: an integer >= 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value


def progress(items, label, total=None, unit="it"):
    """Yield `items` while showing rate and time left on stderr: a bar on a terminal, else a line every 10 s.

    A loop that ends within two seconds shows nothing.
    """
    if sys.stderr.isatty():
        from tqdm import tqdm
        yield from tqdm(items, desc=label, total=total, unit=unit, delay=2, leave=False, file=sys.stderr)
        return
    started = last = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - last >= PLAIN_PROGRESS_S:
            last = now
            rate = done / (now - started)
            left = f", {(total - done) / rate:.0f} s left" if total else ""
            log(f"{label}: {done:,}{f' of {total:,}' if total else ''} {unit}, {rate:,.0f}/s{left}")


def table(rows, headers):
    """Return `rows` (lists of str or number) as an aligned text table; numbers to the right."""
    cells = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [list(headers), *cells]) for i in range(len(headers))]
    right = [bool(rows) and all(isinstance(row[i], (int, float)) for row in rows) for i in range(len(headers))]

    def line(row):
        return "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right)).rstrip()

    return "\n".join([line(headers), line(["-" * w for w in widths]), *map(line, cells)])
