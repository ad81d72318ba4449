"""The supervisor on the GPU box: real processes, a real tmux, a disk that is really full. Stages are a line of shell each."""
import ast
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time

import pytest

from limits import leave_room, small_disk
from loopback import wait_for
from paths import SCRIPTS_DIR
from weatherman.box import job_files, keeper

pytestmark = pytest.mark.machine
SCRIPT = SCRIPTS_DIR / "remote_job.py"
# Notes in the file "diary" when it starts, and when it has saved; `slow` seconds pass before it has.
TRAINS = "trap 'sleep {slow}; echo saved >> diary; exit 75' TERM; echo start >> diary; while :; do sleep 0.02; done"
NOTES = "echo {} >> diary"


class Job:
    """A repository with nothing in it but the script, and one job."""

    def __init__(self, repo):
        self.repo, self.folder = repo, repo / "adapters/jobs/trial"
        self.command = [sys.executable, repo / "scripts/remote_job.py", "trial"]
        self.environment = {name: value for name, value in os.environ.items() if name != "WEATHERMAN_BASE_DIR"}
        self.started = []
        self.folder.mkdir(parents=True)
        shutil.copytree(SCRIPTS_DIR / "weatherman/box", repo / "scripts/weatherman/box")
        shutil.copy(SCRIPT, repo / "scripts")

    def write(self, limit_s=None, usd_per_hour=None, budget_usd=None, grace_s=20, stop_argv=None, stop_wait_s=None, **stages):
        """Write job.json; stages: {name: line of shell}."""
        job = {"run": "trial", "stages": [{"name": name, "argv": ["sh", "-c", line]} for name, line in stages.items()],
               "limit_s": limit_s, "usd_per_hour": usd_per_hour, "budget_usd": budget_usd, "grace_s": grace_s,
               "stop_argv": stop_argv, "stop_wait_s": stop_wait_s}
        (self.folder / "job.json").write_text(json.dumps(job))

    def start(self):
        self.started.append(subprocess.Popen(self.command, cwd="/", env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                             stderr=subprocess.PIPE, text=True, start_new_session=True))
        return self.started[-1]

    def run(self, *flags):
        """Return (exit status, stdout and stderr)."""
        done = subprocess.run([*self.command, *flags], cwd="/", env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=30)
        return done.returncode, done.stdout

    @property
    def status(self):
        return json.loads((self.folder / "status.json").read_text())

    @property
    def log(self):
        return (self.folder / "job.log").read_text(errors="replace")

    @property
    def diary(self):
        """What the stages noted, as a list of lines."""
        path = self.repo / "diary"
        return path.read_text().split() if path.exists() else []

    def state_is(self, state):
        return wait_for(lambda: (self.folder / "status.json").exists() and self.status["state"] == state)


@pytest.fixture
def job(tmp_path):
    job = Job(tmp_path / "repo")
    yield job
    for process in job.started:  # what a failing test leaves, too; the keepers then end the stages
        process.kill()
        process.communicate()
    wait_for(lambda: job_files.held(job.folder / "stage.lock"))


def stage_group(job):
    return int((job.folder / "stage.lock").read_text())


def gone(group):
    """Return whether no process of a group lives; one that nobody has waited for does not live."""
    for stat in subprocess.run(["ps", "-eo", "pgid=,stat="], capture_output=True, text=True).stdout.splitlines():
        pgid, state = stat.split()
        if int(pgid) == group and not state.startswith("Z"):
            return False
    return True


def test_stages_run_in_order_in_the_work_folder_with_the_environment_of_the_box(job):
    (job.repo / ".env").write_text("BOX_COLOUR=blue\n")
    (job.repo / ".env").chmod(0o600)
    job.environment["VOLUME_QUOTA_GB"] = "50"
    job.write(usd_per_hour=3600, setup='pwd; echo "$BOX_COLOUR $VOLUME_QUOTA_GB"', train="echo trains; sleep 1.1",
              evaluate="echo grade >&2")
    assert job.run()[0] == 0
    status = job.status
    assert (status["run"], status["state"], status["done"], status["exit_status"], status["boot"]) == \
        ("trial", "finished", ["setup", "train", "evaluate"], 0, 1)
    assert 1.1 < status["spent_s"] < 30 and status["spent_usd"] == pytest.approx(status["spent_s"], abs=0.1)
    assert re.sub(r"(?m)^== \S+ \S+ ", "== ", re.sub(r"[\d.,]+ s\b.*", "S", job.log)) == (
        f"== setup: starts; S\n{job.repo}\nblue 50\n== setup: ended with 0 after S\n== train: starts; S\ntrains\n"
        "== train: ended with 0 after S\n== evaluate: starts; S\ngrade\n== evaluate: ended with 0 after S\n== job finished: S\n")
    assert re.search("train: ended with 0 after [1-9] s", job.log)
    assert job.run()[0] == 0 and job.log.count("starts") == 3 and job.status["began_at"] == status["began_at"]


def test_at_the_limit_the_stage_saves_and_later_ones_wait_until_the_limit_is_raised(job):
    job.write(usd_per_hour=3600, budget_usd=1.5, limit_s=100, train=TRAINS.format(slow=0.3), evaluate=NOTES.format("evaluate"))
    assert job.run()[0] == 75
    first = job.status
    assert (first["state"], first["done"], first["exit_status"], job.diary) == ("spent", [], 75, ["start", "saved"])
    assert 1.5 <= first["spent_usd"] < 4 and "train saved and ended" in first["message"] and "of 2 s" in first["message"]
    assert job.run()[0] == 75 and len(job.diary) == 2 and "train was not started" in job.status["message"]  # nothing is left to spend
    job.write(train=NOTES.format("train"), evaluate=NOTES.format("evaluate"))
    assert job.run()[0] == 0 and job.diary[2:] == ["train", "evaluate"]
    assert (job.status["state"], job.status["boot"], job.status["began_at"]) == ("finished", 3, first["began_at"])


def test_what_is_done_is_not_repeated_but_for_the_setup(job):
    stages = {name: NOTES.format(name) for name in ("setup", "download", "train")}
    job.write(**{**stages, "train": "exit 1"})
    assert job.run()[0] == 1 and job.status["done"] == ["setup", "download"]
    job.write(**stages)
    assert job.run()[0] == 0 and job.diary == ["setup", "download", "setup", "train"]


def test_a_stage_that_does_not_end_in_its_grace_is_killed_with_its_children(job):
    job.write(limit_s=0.5, grace_s=0.5, train="trap '' TERM; (trap '' TERM; sleep 60) & echo on; sleep 60; sleep 60")
    began = time.monotonic()
    assert job.run()[0] == 75 and 1 <= time.monotonic() - began < 5  # before the supervisor would do it
    assert (job.status["state"], job.status["exit_status"]) == ("spent", 137) and "train was killed" in job.status["message"]
    assert gone(stage_group(job))


def test_what_a_stage_leaves_behind_neither_holds_the_job_up_nor_lives_on(job):
    job.write(train="sleep 60 & echo $! > child")
    began = time.monotonic()
    assert job.run()[0] == 0 and time.monotonic() - began < 30
    wait_for(lambda: not os.path.lexists(f"/proc/{(job.repo / 'child').read_text().strip()}/fd/1"))  # a zombie has no files


@pytest.mark.parametrize("number", [signal.SIGINT, None])
def test_a_signal_is_passed_on_and_the_saving_waited_for(job, number):
    job.write(train=TRAINS.format(slow=0.3), evaluate=NOTES.format("evaluated"))
    supervisor = job.start()
    wait_for(lambda: job.diary)
    if number:
        supervisor.send_signal(number)
    else:
        assert job.run("--cancel")[0] == 0
    assert supervisor.wait(15) == 75
    assert job.diary == ["start", "saved"] and (job.status["state"], job.status["exit_status"]) == ("cancelled", 75)
    if number is None:
        status, said = job.run("--cancel")
        assert status == 1 and "no supervisor runs this job" in said


@pytest.mark.skipif(not shutil.which("tmux"), reason="needs tmux: apt-get install -y tmux")
@pytest.mark.parametrize("how", ["kill-server", "kill -9"])
def test_without_its_tmux_the_run_goes_on(job, how, tmp_path):
    def tmux(*words):
        return subprocess.run(["tmux", "-L", "t", "-f", "/dev/null", *words], env={**job.environment, "TMUX_TMPDIR": str(tmp_path)},
                              capture_output=True, text=True).stdout.strip()
    job.write(train=TRAINS.format(slow=0.3))
    tmux("new-session", "-d", "-s", "trial", *map(str, job.command))
    try:
        wait_for(lambda: job.diary)
        assert "train: starts" in wait_for(lambda: tmux("capture-pane", "-p", "-t", "trial"))
        if how == "kill -9":
            os.kill(int(tmux("display-message", "-p", "#{pid}")), signal.SIGKILL)
    finally:
        tmux("kill-server")
    beats = job.status["updated_at"]
    wait_for(lambda: job.status["updated_at"] > beats)
    assert job.status["state"] == "running" and job.diary == ["start"] and job.run("--cancel")[0] == 0
    job.state_is("cancelled")
    assert job.diary == ["start", "saved"]


@pytest.mark.parametrize("keeper_too", [False, True])
def test_after_a_kill_the_stage_saves_and_a_new_start_waits_for_it(job, keeper_too):
    job.write(setup=NOTES.format("setup"), train=TRAINS.format(slow=0.5))
    supervisor = job.start()
    wait_for(lambda: "start" in job.diary)
    began_at, group = job.status["began_at"], stage_group(job)
    if keeper_too:  # then nobody asks the stage to end, until the next start
        supervisor.send_signal(signal.SIGSTOP)
        os.kill(group, signal.SIGKILL)
    supervisor.kill()
    if not keeper_too:
        wait_for(lambda: gone(group))
        assert job.diary == ["setup", "start", "saved"]
    job.start()
    wait_for(lambda: len(job.diary) >= 4 and job.diary[-2:] == ["setup", "start"])
    assert job.diary == ["setup", "start", "saved", "setup", "start"] and gone(group)
    assert (job.status["state"], job.status["boot"], job.status["began_at"]) == ("running", 2, began_at)


def test_a_second_supervisor_is_refused_and_changes_nothing(job):
    job.write(train=TRAINS.format(slow=0))
    first = job.start()
    wait_for(lambda: job.diary)
    status, said = job.run()
    assert status == 1 and "another supervisor runs this job" in said and "Try: python scripts/remote_job.py trial --status" in said
    assert (job.status["pid"], job.status["state"], job.diary) == (first.pid, "running", ["start"])
    assert "trial: running, in stage train; done: nothing yet" in job.run("--status")[1] and f"pid {first.pid}" in job.run("--status")[1]


def test_a_damaged_job_is_a_message_and_a_failed_job(job):
    (job.folder / "job.json").write_text('{"run": "tr')
    assert job.run()[0] == 1
    for told in (job.status["message"], job.log):
        assert "job.json: damaged or half written" in told and "Try: " in told
    assert job.status["state"] == "failed"


@pytest.mark.parametrize("change,said", [
    ({"limit_s": 0}, '"limit_s" must be a number above 0 or null'), ({"limit_s": "60"}, '"limit_s" must'),
    ({"budget_usd": float("nan")}, '"budget_usd" must'), ({"grace_s": None}, r'"grace_s" must be a number above 0\.'),
    ({"budget_usd": 5}, '"usd_per_hour" must'), ({"stop_argv": ["true"]}, '"stop_wait_s" must')])
def test_a_limit_that_would_not_hold_is_refused(job, change, said):
    job.write(**change, train="true")
    with pytest.raises(job_files.Refused, match=said):
        job_files.read_job(job.folder)


@pytest.mark.parametrize("text,said", [("[]", "not an object"), ("{}", '"limit_s" is missing'), ("\xff", "damaged")])
def test_what_is_no_job_is_refused(job, text, said):
    (job.folder / "job.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(job_files.Refused, match=said):
        job_files.read_job(job.folder)


def test_a_damaged_status_is_kept_and_starts_nothing_since_the_limits_stood_in_it(job):
    job.write(train=NOTES.format("ran"))
    (job.folder / "status.json").write_text('{"began_at": 17')
    for flags in ((), ("--status",)):
        status, said = job.run(*flags)
        assert status == 1 and "status.json: damaged or half written" in said and "so do its limits" in said
    assert (job.folder / "status.json").read_text() == '{"began_at": 17' and not job.diary and "damaged" in job.log


@pytest.mark.parametrize("began_ago_s,before", [
    (3600, {"state": "running", "spent_s": 10}), (-10 ** 6, {"state": "running", "spent_s": 3600}),
    (8000, {"state": "spent", "spent_s": 3600, "updated_at": time.time() - 4400})],
    ids=["a gap counts", "the date was set back", "the time after an end does not count"])
def test_limits_hold_across_starts(job, began_ago_s, before):
    job.write(limit_s=1800, usd_per_hour=1.2, train=NOTES.format("ran"))
    (job.folder / "status.json").write_text(json.dumps({"began_at": time.time() - began_ago_s, **before}))
    assert job.run()[0] == 75 and job.diary == []
    assert job.status["state"] == "spent" and job.status["spent_s"] == pytest.approx(3600, abs=60)
    assert job.status["spent_usd"] == pytest.approx(1.2, abs=0.02) and " s of 1,800 s, $1.2" in job.status["message"]


def test_an_interrupted_stage_is_started_again_three_times(job):
    job.write(train='echo again >> diary; [ "$(wc -l < diary)" = 2 ] || exit 75', evaluate="echo again >> diary; echo why; exit 75")
    assert job.run()[0] == 1
    assert (job.status["state"], job.status["done"], job.status["message"]) == ("failed", ["train"], "evaluate ended with 75: why")
    assert len(job.diary) == 2 + 4


def test_a_failing_stage_ends_the_job_with_its_last_words(job):
    job.write(setup="echo ready", train="for n in 1 2 3 4 5 6; do echo line $n; done; kill -9 $$", evaluate=NOTES.format("ran"))
    assert job.run()[0] == 1 and job.diary == []
    assert job.status["message"] == "train ended with 137: line 2\nline 3\nline 4\nline 5\nline 6"
    job.write(setup="echo ready", train="exit 4")
    assert job.run()[0] == 1 and job.status["message"] == "train ended with 4: it said nothing"
    text = (job.folder / "job.json").read_text().replace('"sh", "-c"', '"./nowhere"')
    (job.folder / "job.json").write_text(text)
    assert job.run()[0] == 1 and job.status["message"] == "setup ended with 127: ./nowhere: No such file or directory"


def test_the_heart_beats_while_a_stage_says_nothing(job):
    job.write(train="sleep 2.4")
    job.start()
    wait_for(lambda: (job.folder / "status.json").exists())
    beats = set()
    while job.status["state"] == "running":
        assert time.time() - job.status["updated_at"] < 5
        beats.add(job.status["updated_at"])
        time.sleep(0.1)
    assert len(beats) == 2  # at the start and after 2 seconds


def test_an_env_that_others_can_read_is_refused(job):
    job.write(train=NOTES.format("ran"))
    (job.repo / ".env").write_text("HF_TOKEN=hf_secret_1\n")
    (job.repo / ".env").chmod(0o640)
    assert job.run()[0] == 1 and job.diary == []
    assert ".env: mode 640: others can read your secrets.\n  Try: chmod 600" in job.status["message"] and "secret_1" not in job.log


ENV_LINES = ["A=1", "  A=1  ", "export A=b", "A=", "A=   # later", "A='x y$z `w` \"'", 'A="x y # z"', "A=a#b", "A=#b", "# A=1",
             "A=1 # it's", "", "A=/data/big=1:x,y%2", "A='$9'\t#c"]


def test_env_is_read_as_sh_reads_it(job):
    (job.repo / ".env").write_text("\n".join(line.replace("A=", f"V{n}=") for n, line in enumerate(ENV_LINES)))
    (job.repo / ".env").chmod(0o600)
    prints = f"{sys.executable} -c 'import json, os; print(json.dumps({{k: v for k, v in os.environ.items() if k[0] == \"V\"}}))' > "
    job.write(train=prints + "ours", evaluate="unset $(env | grep -o '^V[0-9]*'); set -a; . ./.env; " + prints + "theirs")
    assert job.run()[0] == 0, job.log
    ours = json.loads((job.repo / "ours").read_text())
    assert ours == json.loads((job.repo / "theirs").read_text()) and len(ours) == 12


@pytest.mark.parametrize("line", ["A=$HOME/x", "A=b c", "A=`id`", 'A="$B"', "A='x", "id", "A=~/x", "A=b;id", "A-B=1", "A=x\\ y"])
def test_env_lines_that_sh_would_act_on_are_refused_without_showing_them(tmp_path, line):
    path = tmp_path / ".env"
    path.touch(0o600)
    path.write_text(f"GOOD=1\n{line}\n")
    with pytest.raises(job_files.Refused, match=r"\.env:2: expected NAME=value") as refused:
        keeper.read_env(path)
    assert line not in str(refused.value)


def test_secrets_stand_in_no_log_status_or_command_line(job):
    secret = secrets.token_hex(8)
    (job.repo / ".env").write_text(f"HF_TOKEN=hf_{secret}\nHF_HOME=/data/hf\n")
    (job.repo / ".env").chmod(0o600)
    job.environment["RUNPOD_API_KEY"] = f"rp_{secret}"
    job.write(train="env; printf 'half a line: '; echo $HF_TOKEN; cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' > cmdlines; exit 1")
    assert job.run()[0] == 1
    told = job.log + (job.folder / "status.json").read_text() + (job.repo / "cmdlines").read_text(errors="replace")
    assert secret not in told and "HF_HOME=/data/hf" in job.log and "half a line: [HF_TOKEN]" in job.log and "--stage" in told
    assert "half a line: [HF_TOKEN]" in job.status["message"]


def test_on_a_full_disk_the_stage_goes_on_and_the_log_is_made_up_for(job, tmp_path):
    with small_disk(job.folder) as remount:
        until = "until [ -e ../{} ]; do sleep 0.05; done; "
        job.write(train="echo one; touch ../ready; " + until.format("full") + "head -c 9000 /dev/zero | tr '\\0' x; echo two; "
                        + until.format("free") + "echo three")
        job.start()
        wait_for(lambda: (tmp_path / "ready").exists())
        leave_room(job.folder, remount, 0)
        (tmp_path / "full").touch()
        before = job.status["updated_at"]
        wait_for(lambda: (job.folder / "status.json.part").exists() and time.time() - before > 2.5)
        assert job.started[0].poll() is None and job.status["updated_at"] <= before + 2.2
        remount("size=64m")
        (tmp_path / "free").touch()
        assert job.started[0].wait(15) == 0 and job.status["state"] == "finished"
        assert re.search(r"one\n(==.*\n)*x{9000}two\n(==.*\n)*three\n", job.log) and "could not be written for a while" in job.log


def test_a_flood_of_output_fills_no_disk(job):
    job.write(train="head -c 120000000 /dev/zero | tr '\\0' x; echo; echo the end")
    assert job.run()[0] == 0
    sizes = [path.stat().st_size for path in job.folder.glob("job.log*")]
    assert len(sizes) == 2 and 50 * 2**20 < sum(sizes) < 101 * 2**20 and "the end" in job.log[-500:]


@pytest.mark.parametrize("fetched", [False, True])
def test_the_machine_stops_itself_unless_everything_was_fetched(job, fetched):
    (job.folder / "fetched").touch()  # of an earlier end
    job.write(train=NOTES.format("trained"), stop_argv=["touch", str(job.repo / "stopped")], stop_wait_s=1.0)
    supervisor = job.start()
    job.state_is("finished")
    wait_for(lambda: "this machine stops in 1 s" in job.log)
    if fetched:
        (job.folder / "fetched").touch()
    assert supervisor.wait(15) == 0 and (job.repo / "stopped").exists() is not fetched
    assert ("everything is fetched" in job.log) is fetched


def test_a_cancelled_job_stops_its_machine_too_and_a_second_signal_prevents_it(job):
    job.write(train=TRAINS.format(slow=0), stop_argv=["false"], stop_wait_s=0.3)
    supervisor = job.start()
    wait_for(lambda: job.diary)
    supervisor.terminate()
    wait_for(lambda: "stopping this machine ended with 1" in job.log)  # it would be tried again
    supervisor.send_signal(signal.SIGHUP)
    time.sleep(0.2)
    assert supervisor.poll() is None
    supervisor.terminate()
    assert supervisor.wait(15) == 75 and "goes on running: it was asked to" in job.log


def test_it_needs_nothing_but_python_3_8(job):
    files = [SCRIPT, *(SCRIPTS_DIR / "weatherman/box").glob("*.py")]
    nodes = [node for path in files for node in ast.walk(ast.parse(path.read_text(), feature_version=(3, 8)))]
    imported = {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    imported |= {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    ours = {name for name in imported if name.startswith("weatherman.box.")}
    assert len(files) == 5 and len(ours) == 3 and imported - ours <= sys.stdlib_module_names
    assert job.run()[0] == 1 and "no job.json" in job.run()[1]
