"""What setup_remote.sh asks before it installs anything, of any Python 3.10 or later: the standard library is all there is yet.

`env` puts HF_HOME into .env where nothing says it, and prints the settings of this box as shell text.
`room` says whether the disk takes the environment and a model, and what the driver can run; status 1 without room.
    PYTHONPATH=scripts python3 -m weatherman.machines.before_setup room .venv-remote
"""
import os
import shlex
import sys
from pathlib import Path

from paths import REPO_DIR, base_dir
from weatherman.cli import DONE, MENDABLE, UserError, log, print_error, run, table
from weatherman.machines import gpu, storage
from weatherman.machines.storage import FAILURE, FINE, GB, WARNING

SETTINGS = ("VOLUME_QUOTA_GB", "WEATHERMAN_BASE_DIR", "HF_HOME")  # those that setup itself reads
INSTALL_GB = 13  # while it is installed: 8.1 GB, and 4 GB of wheels; measured with torch 2.10.0 on Python 3.10 and 3.11


def read_env(path):
    """Return {name: value} of a .env file, as `. ./.env` would set them; {} where there is none. No command in it is run.

    Raises UserError that names the line where a quote is not closed.
    """
    values = {}
    lines = path.read_text(encoding="utf-8").split("\n") if path.exists() else []
    for number, line in enumerate(lines, 1):
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            raise UserError(f"{path.name}:{number}: {error}.", f"mend that line of {path.name}; .env.example shows the form") from None
        for word in words:
            name, equals, value = word.partition("=")
            if equals:
                values[name] = os.path.expandvars(value)
    return values


def add_line(path, line):
    """Append a line to .env, which is made readable by its owner alone; what it holds already stays as it is."""
    last = path.read_bytes()[-1:] if path.exists() else b"\n"
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(handle, (b"" if last in (b"", b"\n") else b"\n") + line.encode() + b"\n")  # in one piece: a kill leaves all or nothing
    finally:
        os.close(handle)


def settings(path):
    """Return {name: value} of SETTINGS: the shell's where it says something, else those of .env; HF_HOME is put there if need be."""
    written = read_env(path)
    values = {name: os.environ.get(name) or written.get(name, "") for name in SETTINGS}
    if not values["HF_HOME"]:
        base = Path(values["WEATHERMAN_BASE_DIR"] or REPO_DIR).expanduser().resolve()  # the volume that models go to, not the home folder
        values["HF_HOME"] = str(base / ".cache" / "huggingface")
        add_line(path, f"HF_HOME={shlex.quote(values['HF_HOME'])}")
        log(f"{path.name}: HF_HOME={values['HF_HOME']} added, so that what libraries download stays on this volume")
    return {name: value for name, value in values.items() if value}


def room_rows(environment):
    """Return the rows on the disks. environment: its folder; what lies there already goes before it is made anew."""
    quota_gb = storage.quota_from_environment()
    present = storage.used_bytes(environment)[0] if environment.is_dir() else 0
    if storage.same_volume(REPO_DIR, base_dir()):
        disk = storage.check_storage(base_dir(), quota_gb, present_bytes=present)
        return [["disk", disk.outcome, disk.message]]
    disk = storage.check_storage(base_dir(), quota_gb)
    free_gb = (storage.reported_free(REPO_DIR) + present) / GB
    return [["disk of outputs", disk.outcome, disk.message],
            [f"disk of {environment.name}", FINE if free_gb >= INSTALL_GB else FAILURE, f"{free_gb:,.1f} GB free; it takes {INSTALL_GB}"]]


def driver_rows():
    """Return the rows on driver, CUDA and cards. Only a warning: an environment may be made before its card is rented."""
    try:
        driver = gpu.read_driver()
    except UserError as error:
        return [["card", WARNING, str(error)]]
    rows = gpu.check_driver(driver, gpu.cuda_of_lock()) + gpu.check_cards(gpu.visible(driver.cards))
    return [[name, WARNING if outcome == FAILURE else outcome, found] for name, outcome, found in rows
            if outcome != FINE or name in ("driver", "CUDA", "cards")]


def room(environment):
    """Print the table of disk and driver; return DONE, or MENDABLE where the environment has no room."""
    disk, card = room_rows(environment), driver_rows()
    log(table(disk + card, ["before setup", "outcome", "found"]))
    if any(outcome == FAILURE for _, outcome, _ in disk):
        print_error("No room for the environment and a model; nothing was installed.",
                    "a larger volume, or VOLUME_QUOTA_GB if it is larger than it says, then the same command again")
        return MENDABLE
    if any(outcome == WARNING for _, outcome, _ in card):
        log("note: the environment is made all the same; check_gpu.py has the last word at the end.")
    return DONE


def main(argv=None):
    what, name = argv
    if what == "room":
        return room(REPO_DIR / name)
    print("".join(f"export {key}={shlex.quote(value)}\n" for key, value in settings(REPO_DIR / ".env").items()), end="")
    return DONE


if __name__ == "__main__":
    sys.exit(run(main, sys.argv[1:]))
