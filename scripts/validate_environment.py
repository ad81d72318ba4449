"""Say everything that is wrong with this environment at once: versions against the lock, libraries that do not work, the machine.

Reads requirements-*.txt and what is installed; writes a few MB where outputs go and removes them. Either machine; run it with
the environment's own Python. setup_local.sh and setup_remote.sh end with it.
    .venv-local/bin/python scripts/validate_environment.py --env=local
    .venv-cpu/bin/python scripts/validate_environment.py --env=cpu
    .venv-remote/bin/python scripts/validate_environment.py --env=remote --json
"""
import json
import platform
import sys
from pathlib import Path

if getattr(sys.flags, "safe_path", False):  # PYTHONSAFEPATH breaks every script; this one must live to say so
    sys.path.insert(0, str(Path(__file__).resolve().parent))

from paths import REPO_DIR, base_dir, show  # noqa: E402
from weatherman.cli import DONE, MENDABLE, UserError, parser, print_error, progress, run, table  # noqa: E402
from weatherman.machines import lockfile, machine, storage  # noqa: E402
from weatherman.machines.storage import FAILURE, FINE, WARNING  # noqa: E402

LOCKS = {"local": ["requirements-local.txt"],
         "remote": ["requirements-remote.txt", "requirements-model.txt"],
         "cpu": ["requirements-cpu.in", "requirements-cpu.txt", "requirements-model.txt"]}  # .in: torch, whose builds differ by platform
UNWANTED = {"local": ["torch", "triton"], "remote": [], "cpu": []}  # the Mac has data tools only
SETUP = {"local": "./setup_local.sh", "remote": "./setup_remote.sh", "cpu": "./setup_remote.sh --cpu"}
SIZE_GB = {"local": 1, "cpu": 1.5, "remote": 8}  # of an environment: it is part of the 30 GB that a run is planned for


def check_python():
    """Return the row on the interpreter itself."""
    version = platform.python_version()
    if not machine.PYTHONS[0] <= sys.version_info[:2] <= machine.PYTHONS[1]:
        return [["python", FAILURE, f"{version}; 3.10-3.13 are supported"]]
    note = "; end of life reached, 3.11-3.13 work too" if sys.version_info[:2] == (3, 10) else ""
    return [["python", FINE, f"{version} in {show(sys.prefix)}{note}"]]


def check_packages(env):
    """Return one row for each package that differs from the lock, or a single good one."""
    wanted = {}
    for name in LOCKS[env]:
        wanted.update(lockfile.wanted_here(lockfile.read_lock(REPO_DIR / name)))
    rows = [[name, FAILURE, f"{found}; expected {expected}"]
            for name, expected, found in lockfile.mismatches(wanted, lockfile.installed(), UNWANTED[env])]
    return rows or [["packages", FINE, f"{len(wanted)} as in {', '.join(LOCKS[env])}"]]


def check_libraries(env):
    """Return one row for each direct library: does it import, and does it do a small piece of real work?"""
    from weatherman.machines import exercises
    wanted = exercises.DATA
    if env != "local":
        from weatherman.training.exercises import TRAINING
        wanted = exercises.BASICS + TRAINING
    rows = []
    for exercise in progress(wanted, "libraries", len(wanted), "libraries"):
        name = exercise.__name__.replace("_", "-")
        try:
            rows.append([name, FINE, exercise() or "works"])
        except Exception as error:  # whatever a library fails with is the finding, and the next one is tried all the same
            rows.append([name, FAILURE, f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else 'no message'}"])
    return rows


def check_machine(env):
    """Return the rows on shell tools, disk and GPU. Only the Mac's side of a sync has flags and options that must be understood."""
    from weatherman.remote import programs
    tools = {"bash": machine.bash} if env == "remote" else {"bash": machine.bash, "rsync": programs.rsync, "ssh": programs.ssh}
    rows = [[name, *check()] for name, check in tools.items()]
    beside = storage.same_volume(base_dir(), sys.prefix)
    disk = storage.check_storage(base_dir(), storage.quota_from_environment(), present_bytes=beside * int(SIZE_GB[env] * storage.GB))
    rows.append(["disk", disk.outcome, disk.message])
    if env == "remote":
        from weatherman.training.exercises import device
        works = ["gpu", FINE, "CUDA works"]
        rows.append(works if device() == "cuda" else ["gpu", WARNING, "torch sees no CUDA device. Try: python scripts/check_gpu.py"])
    return rows


def main(argv=None):
    flags = parser(__doc__)
    flags.add_argument("--env", required=True, choices=LOCKS)
    flags.add_argument("--quick", action="store_true", help="compare versions only: no library is imported, no disk is written")
    flags.add_argument("--json", action="store_true", help="print the result as one JSON object")
    args = flags.parse_args(argv)
    try:
        import packaging  # noqa: F401  (the one library that reading the lock needs)
    except ImportError:
        raise UserError(f"{sys.executable} is not the Python of a finished environment.",
                        f"{SETUP[args.env]}, which runs this check with the right one") from None
    rows = [*check_python(), ["modules", *machine.module_path()], [".env", *machine.env_file()], *check_packages(args.env)]
    if not args.quick:
        rows += check_libraries(args.env) + check_machine(args.env)
    bad = sum(row[1] == FAILURE for row in rows)
    if args.json:
        print(json.dumps({"env": args.env, "good": not bad, "checks": [{"check": c, "outcome": o, "found": f} for c, o, f in rows]}))
    else:
        print(table(rows, [args.env, "outcome", "found"]))
    if bad:
        here = Path(sys.prefix)
        rebuild = f"rm -rf {here.name} && {SETUP[args.env]}" if here.parent == REPO_DIR else f"{SETUP[args.env]} ({here} is not its Python)"
        print_error(f"{bad} of {len(rows)} checks failed.", f"what the table says; for packages: {rebuild}")
    return MENDABLE if bad else DONE


if __name__ == "__main__":
    sys.exit(run(main))
