import os
import signal
import subprocess
import sys
import time

import pytest

from config_loader import ConfigError
from paths import SCRIPTS_DIR
from weatherman.cli import GateError, UserError, run, table


def raising(error):
    def main(argv):
        raise error
    return main


@pytest.mark.parametrize("error,status", [(UserError("x.jsonl:1: bad", "this"), 1), (ConfigError("bad key"), 2), (GateError("no"), 3),
                                          (KeyboardInterrupt(), 75), (PermissionError(13, "denied", "x.jsonl"), 1)])
def test_exit_status_and_no_traceback(error, status, capsys):
    assert run(raising(error)) == status
    assert "Traceback" not in capsys.readouterr().err


def test_hint_is_printed(capsys):
    run(raising(UserError("a.jsonl:3: no id.", "python scripts/x.py")))
    assert capsys.readouterr().err == "a.jsonl:3: no id.\n  Try: python scripts/x.py\n"


def test_bugs_keep_their_traceback():
    with pytest.raises(ZeroDivisionError):
        run(lambda argv: 1 / 0)
    with pytest.raises(OSError):
        run(raising(OSError(5, "input/output error")))


def test_sigterm_is_an_interruption():
    code = ("import sys, time; sys.path.insert(0, sys.argv[1]); from weatherman.cli import run, log; "
            "sys.exit(run(lambda argv: (log('ready'), time.sleep(30))))")
    process = subprocess.Popen([sys.executable, "-c", code, str(SCRIPTS_DIR)], stderr=subprocess.PIPE, text=True)
    assert process.stderr.readline() == "ready\n"
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(20) == 75


def test_sigterm_is_not_stopped_by_a_library_that_catches_every_exception():
    def main(argv):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        except Exception:
            return 0

    before = signal.getsignal(signal.SIGTERM)
    try:
        assert run(main) == 75
    finally:
        signal.signal(signal.SIGTERM, before)


def test_closed_pipe_is_no_error():
    code = ("import sys; sys.path.insert(0, sys.argv[1]); from weatherman.cli import run; "
            "sys.exit(run(lambda a: [print('x' * 99) for _ in range(99999)] and 0))")
    process = subprocess.Popen([sys.executable, "-c", code, str(SCRIPTS_DIR)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(20) == 0 and process.stderr.read() == ""


def test_plain_progress_says_rate_and_time_left(monkeypatch, capsys):
    from weatherman import cli
    monkeypatch.setattr(cli, "PLAIN_PROGRESS_S", 0.02)
    for _ in cli.progress(range(3), "reading", 3, "books"):
        time.sleep(0.03)
    assert "reading: 1 of 3 books" in capsys.readouterr().err


def test_table_aligns_numbers_to_the_right():
    assert table([["a", 1200], ["bcd", 7]], ["name", "rows"]).split("\n") == ["name   rows", "----  -----", "a     1,200", "bcd       7"]
