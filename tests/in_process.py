"""Run a script as people type it: as a process, or in this one, since a process spends most of its time on importing libraries.

Each data step runs as a process at least once on every Python; a signal, a second worker and an import can be seen only there.
"""
import contextlib
import functools
import importlib.util
import io
import os
import signal
import subprocess
import sys

import pytest

from paths import SCRIPTS_DIR
from weatherman.cli import run


def run_process(name, base, *arguments):
    """Run scripts/NAME with `base` as WEATHERMAN_BASE_DIR; return the finished process."""
    return subprocess.run([sys.executable, str(SCRIPTS_DIR / name), *map(str, arguments)], capture_output=True, text=True,
                          env={**os.environ, "WEATHERMAN_BASE_DIR": str(base)})


@functools.cache
def main_of(name):
    """Return the main function of a script."""
    spec = importlib.util.spec_from_file_location(f"script_{name.removesuffix('.py')}", SCRIPTS_DIR / name)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where worker processes look its functions up
    spec.loader.exec_module(module)
    return module.main


def run_here(name, base, *arguments):
    """Do the same in this process; return status, stdout and stderr in the shape of a finished process."""
    out, err, before = io.StringIO(), io.StringIO(), signal.getsignal(signal.SIGTERM)
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.setenv("WEATHERMAN_BASE_DIR", str(base))
        try:
            status = run(main_of(name), [*map(str, arguments)])
        except SystemExit as refused:  # argparse
            status = refused.code
        finally:
            signal.signal(signal.SIGTERM, before)
    return subprocess.CompletedProcess([name, *arguments], status, out.getvalue(), err.getvalue())
