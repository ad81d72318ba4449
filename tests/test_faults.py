"""What a fault leaves behind, for every data step: kill -9, Ctrl-C, SIGTERM, a full disk, folders and files that may not be used.

Each case starts with an older output in place, meets the fault, and must leave that output or the new one whole; the same command
then finishes with the bytes of an undisturbed run. Cases that need processes start together in a pool and each test waits for its
own; the others run in this process, as importing nltk, trafilatura or numba (04 and 06, 03 and 05) takes most of a run's time.
"""
import json
import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from in_process import run_here
from limits import as_people, leave_room, small_disk
from paths import CONFIGS_DIR, REPO_DIR, SCRIPTS_DIR
from weatherman.corpus.urls import page_name
from weatherman.files import write_bytes, write_json
from weatherman.manifest import manifest_path
from weatherman.step import Step, rejects_path

pytestmark = pytest.mark.machine

CONFIG, SAMPLES = CONFIGS_DIR / "demo_data.yaml", REPO_DIR / "data/samples"
BOOKS = [f"{number}{kind}" for number in range(900001, 900009) for kind in (".txt", ".json")]
PAGE = SAMPLES / "web/letter-on-keeping-dry.htm"
PAGES = [f"{page_name(PAGE.stem, PAGE.read_bytes())}{kind}" for kind in (".html", ".txt", ".json")]
# script: (the folder it writes to, its outputs, the flag that names an input, the input, the rest of the command); in that order
# they make the workspace. Paths are relative to it.
SCRIPTS = {
    "01_collect_gutenberg.py": ("data/raw/gutenberg", BOOKS, "--mirror", SAMPLES / "mirror", []),
    "02_collect_reddit.py": ("data/raw/reddit", ["headlines.jsonl"], "--input", SAMPLES / "reddit/headlines.csv", []),
    "03_collect_web.py": ("data/raw/web", PAGES, "--input", PAGE, []),
    "04_clean_passages.py": ("data/processed", ["passages.jsonl"], "--input", "data/raw", []),
    "05_deduplicate.py": ("data/processed", ["unique.jsonl"], "--input", "data/processed/passages.jsonl", []),
    "06_format_chat.py": ("data/processed", ["style_chat.jsonl"], "--input", "data/processed/unique.jsonl", []),
    "07_generate_tool_use.py": ("data/synthetic", ["tool_use.jsonl"], "--config", CONFIG, ["--count", "120"]),
    "08_build_dataset.py": ("data/processed", ["train.jsonl", "validation.jsonl", "test.jsonl"],
                            "--input", "data/processed/style_chat.jsonl", ["data/synthetic/tool_use.jsonl"]),
}
SLOW = {"03_collect_web.py", "04_clean_passages.py", "05_deduplicate.py", "06_format_chat.py", "07_generate_tool_use.py",
        "08_build_dataset.py"}  # 1 to 4 s a run: fewer runs
BLOCK = 4096  # bytes; tmpfs counts in blocks


@dataclass
class Case:
    """One script, the finished workspace `base`, and a folder of its own to fail in. `here`: in this process."""

    script: str
    base: Path
    folder: Path
    here: bool = False

    def __post_init__(self):
        home, self.outputs, self.flag, source, rest = SCRIPTS[self.script]
        self.rest = [str(self.base / part) if part.startswith("data/") else part for part in rest]
        self.source, self.good, self.target = self.base / source, self.base / home, self.folder / "out"
        self.rejects = rejects_path(self.outputs[0]).name
        manifests = [manifest_path(name).name for name in self.outputs]
        units = {"01": list(zip(BOOKS[::2], BOOKS[1::2])), "03": [tuple(PAGES)]}
        self.units = units.get(self.script[:2], [(*self.outputs, self.rejects, *manifests)])  # what changes as one

    @property
    def has_sidecars(self):
        """True for the scripts that write into a folder, a text and its sidecar at a time, without a manifest."""
        return self.script[:2] in ("01", "03")

    def run(self, *, source=None, prefix=()):
        output = self.target if self.has_sidecars else self.target / self.outputs[0]
        arguments = ["--config", CONFIG, self.flag, source or self.source, *self.rest, "--output", output]
        if self.here:
            alone = ["--workers", 1] if self.script[:2] in ("04", "05", "06") else []
            return run_here(self.script, self.base, *arguments, *alone)
        command = [*prefix, sys.executable, SCRIPTS_DIR / self.script, *arguments]
        return subprocess.run([*map(str, command)], capture_output=True, text=True, cwd=self.base,
                              env={**os.environ, "WEATHERMAN_BASE_DIR": str(self.base)})

    def contents(self, folder=None):
        """Return {name: what must repeat} of every output; of manifests and sidecars that is all but times and places."""
        return {name: lasting(path) for unit in self.units for name in unit if (path := (folder or self.target) / name).exists()}

    def reference(self):
        return self.contents(self.good)

    def make_older(self):
        """Put an older output in place, whole with its manifest: half the rows, or the texts in capitals under another author's name."""
        self.target.mkdir(exist_ok=True)
        if self.has_sidecars:
            for *texts, sidecar in self.units:
                for name in texts:
                    write_bytes(self.target / name, (self.good / name).read_bytes().upper())
                write_json(self.target / sidecar, {**json.loads((self.good / sidecar).read_bytes()), "author": "Simon Tarbox"})
            return self.contents()
        outputs = [self.target / name for name in self.outputs]
        step = Step(SCRIPTS_DIR / self.script, rooms=[], inputs=[], outputs=outputs, config={}, seed=0)
        with step:
            step.seen()
            step.reject("older", file="older.jsonl")
            for number, name in enumerate(self.outputs):
                rows = (self.good / name).read_bytes().splitlines()
                for row in rows[:len(rows) // 2]:
                    step.seen()
                    step.keep(json.loads(row), number)
        return self.contents()

    def check_failed(self, done, status, *messages):
        assert done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr and all(message in done.stderr for message in messages), done.stderr

    def check_units(self, older):
        """Each unit is as it was or as it shall be, never half of both, and nothing unfinished lies about."""
        new, found = self.reference(), self.contents()
        for unit in self.units:
            assert {name: found.get(name) for name in unit} in [{name: whole.get(name) for name in unit} for whole in (older, new)], unit
        assert not list(self.target.glob("*.part"))

    def check_finishes(self):
        done = self.run()
        assert done.returncode == 0, done.stderr
        assert self.contents() == self.reference() and not list(self.target.glob("*.part"))


def lasting(path):
    data = path.read_bytes()
    if path.suffix != ".json":
        return data
    value = json.loads(data)
    value["outputs"] = [entry["sha256"] for entry in value.get("outputs", [])]
    return {key: below for key, below in value.items() if key not in ("fetched_at", "finished_at", "duration_s", "git", "versions")}


# --- the faults; each takes a Case ---

def stopped(case):
    """Ctrl-C, SIGTERM and kill -9 in the middle, kill -9 before a rename; then the same command."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed: apt-get install strace")
    parts = [f"{name}.part" for unit in case.units[:2] for name in unit]
    middle = ("write", parts[0], 1 if case.has_sidecars else 2)
    if case.script in SLOW:
        rows = [[("INT" if case.script < "04" else "TERM", *middle), ("KILL", "rename", parts[1], 1)]]
    else:
        rows = [[("INT", *middle), ("TERM", *middle), ("KILL", *middle)],
                *([("KILL", "rename", part, 1)] for part in (parts[0], parts[1], parts[-1]))]
    for row in rows:
        shutil.rmtree(case.target, ignore_errors=True)
        older, new = case.make_older(), case.reference()
        for name, call, part, nth in row:
            done = case.run(prefix=["strace", "-qq", "-o", "/dev/null", "-P", str(case.target / part),
                                    "-e", f"trace={call}", "-e", f"inject={call}:signal={name}:when={nth}"])
            if name == "KILL":
                assert done.returncode == -signal.SIGKILL, done.stderr
                assert all(found in (older[name], new[name]) for name, found in case.contents().items())
            else:
                case.check_failed(done, 75, "interrupted", "the same command again")
                case.check_units(older)
        case.check_finishes()


def full_disk(case):
    """No room at all, for the first output alone, for all but the manifest or the sidecar; then there is room."""
    sizes = [-(-(case.good / name).stat().st_size // BLOCK) * BLOCK for name in case.units[0] if not name.endswith(".json")]
    rooms = [sum(sizes)] if case.script in SLOW else [0, sizes[0], sum(sizes)]
    with small_disk(case.target) as remount:
        older = case.make_older()
        for room in rooms:
            leave_room(case.target, remount, room)
            case.check_failed(case.run(), 1, "the disk is full", str(case.target), "Try: ")
            case.check_units(older)
        remount("size=64m")
        case.check_finishes()


def read_only(case):
    with small_disk(case.target) as remount:
        older = case.make_older()
        remount("ro")
        case.check_failed(case.run(), 1, "the file system is read-only", str(case.target), "Try: ")
        assert case.contents() == older


def unreadable(case):
    file, source = borrowed_input(case)
    file.chmod(0)
    done = case.run(source=source, prefix=as_people())
    case.check_failed(done, 2 if case.flag == "--config" else 1, "ermission denied", str(file))


def folder_for_a_file(case):
    """A folder where a file is read, and where one is written."""
    file, source = borrowed_input(case)
    file.unlink()
    file.mkdir()
    refused = "no saved page" if case.script.startswith("03") else "is a folder; a file was expected"
    expected = {"--input": (1, f"{file}: {refused}"), "--mirror": (1, "the mirror has none of"),
                "--config": (2, f"{file}: cannot be read: Is a directory")}
    case.check_failed(case.run(source=source), *expected[case.flag])
    file = case.target / case.outputs[0]
    file.mkdir(parents=True)
    case.check_failed(case.run(), 1, f"{file}: is a folder; a file was expected", "Try: ")


FAULTS = {check.__name__: check for check in (stopped, full_disk, read_only, unreadable, folder_for_a_file)}
NEED_PROCESSES = ("stopped", "unreadable")  # a signal, and another user's rights


def borrowed_input(case):
    """Copy the script's input into the case's folder; return (one file of it, the copy)."""
    copy = case.folder / case.source.name
    shutil.copytree(case.source, copy) if case.source.is_dir() else shutil.copy(case.source, copy)
    return (copy if copy.is_file() else next(copy.rglob("900001*.txt"))), copy


# --- the tests ---

@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A workspace in which every script has run, undisturbed, on the sample texts."""
    base = tmp_path_factory.mktemp("base")
    for script in SCRIPTS:
        case = Case(script, base, base)
        case.target = case.good
        done = case.run()
        assert done.returncode == 0, done.stderr
    return base


@pytest.fixture(scope="module")
def outcome(base, tmp_path_factory, request):
    """Start the cases of this session that need processes; give a function that waits for a case, or runs it, and raises its error."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background Ctrl-C is ignored, by children too
    cases = [item.callspec.params for item in request.session.items if item.originalname == "test_outputs_stay_whole"]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        started = {(case["fault"], case["script"]): pool.submit(
            FAULTS[case["fault"]], Case(case["script"], base, tmp_path_factory.mktemp(case["fault"])))
            for case in cases if case["fault"] in NEED_PROCESSES}

        def wait(fault, script):
            if fault in NEED_PROCESSES:
                return started[fault, script].result()
            return FAULTS[fault](Case(script, base, tmp_path_factory.mktemp(fault), here=True))

        yield wait
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("script", SCRIPTS)
def test_outputs_stay_whole(outcome, fault, script):
    outcome(fault, script)


BAD_ROWS = [b'{"id": "x", "te', b'{"id": "\xff\xfe"}', b"[1, 2]", b'{"id": "x"}', b'{"id": "' + b"x" * (50 * 2**20) + b'"}']
REASONS = ["invalid_json", "invalid_utf8", "not_an_object", "invalid_record", "line_too_long"]


@pytest.mark.parametrize("script", ["05_deduplicate.py", "08_build_dataset.py"])  # 02, 04 and 06: in the tests of their own rows
def test_bad_rows_are_rejected_and_change_nothing_else(base, tmp_path, script):
    case = Case(script, base, tmp_path, here=True)
    good = case.source.read_bytes()
    source = tmp_path / "rows.jsonl"
    source.write_bytes(b"\xef\xbb\xbf" + good.replace(b"\n", b"\r\n") + b"\r\n".join(BAD_ROWS))  # BOM, CRLF, no last line end
    assert case.run(source=source).returncode == 0
    rejects = [json.loads(line) for line in (case.target / case.rejects).read_bytes().splitlines()]
    first = good.count(b"\n") + 1
    assert [(r["line"], r["reason"]) for r in rejects if r["reason"] in REASONS] == list(enumerate(REASONS, first))
    assert [(case.target / name).read_bytes() for name in case.outputs] == [(case.good / name).read_bytes() for name in case.outputs]


@pytest.mark.parametrize("script", ["06_format_chat.py", "08_build_dataset.py"])  # the others: in their own tests
def test_configuration_mistakes_are_named(base, tmp_path, script):
    case = Case(script, base, tmp_path, here=True)
    case.rest = [*case.rest, "--set", "split.tset=0.1", "--set", "chat.opening_words=many"]
    case.check_failed(case.run(), 2, 'unknown key "split.tset" (did you mean "test"?)', "found str 'many'")
    assert not case.target.exists()
