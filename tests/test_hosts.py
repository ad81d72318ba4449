"""check_host.py and what it stands on, against a real sshd on loopback: for every layer a fault that must be named, and its remedy.

No test reaches RunPod: a script stands for runpodctl. Its answers have the form that the sources of versions 1.14 (cmd/pod/getPod.go)
and 2 (cmd/ssh.go) give them.
"""
import http.server
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from config_loader import ConfigError
from in_process import run_here
from limits import leave_room, small_disk
from loopback import free_port, make_key, needs_sshd, write
from weatherman.cli import UserError
from weatherman.remote import equipment, hosts, layers, ssh
from weatherman.remote.hosts import Host, find_host
from weatherman.remote.layers import ReachError, ssh_error
from weatherman.remote.providers import current_address, stop_command
from weatherman.remote.ssh import connected, far_path, far_sh, ssh_command, ssh_config

pytestmark = pytest.mark.machine

CONNECTION = ["name", "TCP", "banner", "host key", "authentication", "shell"]
BOX = ["python3", "rsync", "tmux", "sha256", "folder", "space", "GPU"]
POSIX = ("sh", "dd", "df", "tail", "head", "rm", "cat")
POD = Host("gpu", "runpod", "192.0.2.1", 9, "root", Path("key"), "/workspace/weatherman", id="pod1")


@pytest.fixture
def repo_box(repo_box, monkeypatch):
    """The Box, whose hosts.yaml and known hosts this process reads; no agent of the person who runs it."""
    monkeypatch.setattr(hosts, "HOSTS_FILE", repo_box.repo / "configs/hosts.yaml")
    monkeypatch.setattr(hosts, "KNOWN_HOSTS", repo_box.known_hosts.parent)
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return repo_box


def check(box):
    """Return (exit status, {layer: (outcome, found)}, stderr) of check_host.py gpu."""
    done = run_here("check_host.py", box.repo, "gpu", "--json")
    checks = json.loads(done.stdout)["checks"] if done.stdout else []
    return done.returncode, {row["layer"]: (row["outcome"], row["found"]) for row in checks}, done.stderr


def far_error():
    """Return the ReachError of a command on the far side, as the sync scripts and remote_run.py meet it."""
    with connected(find_host("gpu")) as far, pytest.raises(ReachError) as caught:
        far_sh(far, "true")
    return caught.value


def assert_fails_at(layer, box, *said):
    """Both ways to the box must stop at `layer`, with all layers below it good, and say `said`."""
    status, rows, err = check(box)
    assert status == 1 and list(rows) == CONNECTION[:CONNECTION.index(layer) + 1]
    assert [outcome for outcome, _ in rows.values()] == ["fine"] * CONNECTION.index(layer) + ["failure"]
    assert f": {layer}: " in err and "\n  Try: " in err
    error = far_error()
    assert error.layer == layer
    for text in said:
        assert text in err and text in f"{error}\n  Try: {error.hint}"


def programs(box, *names, **scripts):
    """Leave the far side nothing but POSIX programs, those called `names`, and shell scripts {name: text}."""
    folder = box.tmp / "far bin"
    write(folder, {name: f"#!/bin/sh\n{text}\n" for name, text in
                   {**{name: f'exec {shlex.quote(shutil.which(name))} "$@"' for name in (*POSIX, *names)}, **scripts}.items()})
    for path in folder.iterdir():
        path.chmod(0o755)
    box.hook.write_text(f"PATH='{folder}'\n")


FREE = "echo '/dev/sda1 100000000 0 50000000 50% /'"


# --- a box as it should be ------------------------------------------------------------------------------------------------

@needs_sshd
def test_a_good_box_passes_every_layer_without_sftp(box):
    programs(box, "rsync", "tar", "sha256sum", python3="echo 3.10", tmux="", df=FREE, **{"nvidia-smi": "echo 'H100, 81559 MiB, 570.1'"})
    status, rows, err = check(box)
    assert status == 0 and list(rows) == CONNECTION + BOX, err
    assert {outcome for outcome, _ in rows.values()} == {"fine"}
    assert rows["banner"][1].startswith("SSH-2.0-OpenSSH") and rows["GPU"][1] == "H100, 81559 MiB, 570.1"
    assert rows["space"][1] == "51.2 GB free" and rows["folder"][1] == "weatherman can be made"
    assert rows["host key"][1].startswith("ED25519 SHA256:") and rows["host key"][1].endswith("accepted now, at first sight")
    assert not list(box.home.rglob("*weatherman*"))  # the test write is gone, and no folder was made
    assert check(box)[1]["host key"][1].endswith("the one seen before")
    with connected(find_host("gpu")) as far:
        sftp = subprocess.run(["sftp", "-b", "-", *ssh_command(far)[1:]], input="ls\n", capture_output=True, text=True)
    assert sftp.returncode and "subsystem request failed" in sftp.stderr  # the box really has none


def test_ssh_takes_nothing_from_elsewhere(repo_box):
    """What ssh itself makes of the configuration: known hosts of its own only, no forwarding, no shared connection, no questions."""
    repo_box.configure(id="pod-1", jump="me@gateway:2222")
    (repo_box.tmp / "config").write_text(ssh_config(find_host("gpu")))
    shown = subprocess.run(["ssh", "-G", "-F", repo_box.tmp / "config", "gpu"], capture_output=True, text=True, check=True).stdout
    options = dict(line.split(" ", 1) for line in shown.splitlines())
    expected = {"userknownhostsfile": f"{repo_box.known_hosts.parent}/pod-1", "globalknownhostsfile": "/dev/null",
                "hostkeyalias": "pod-1", "stricthostkeychecking": "accept-new", "hashknownhosts": "no", "updatehostkeys": "false",
                "batchmode": "yes", "identitiesonly": "yes", "forwardagent": "no", "forwardx11": "no", "serveraliveinterval": "15",
                "proxyjump": "me@gateway:2222"}
    assert {key: options.get(key) for key in expected} == expected
    assert "controlpath" not in options or options["controlpath"] == "none"


def test_far_path_is_one_word_for_the_far_shell(repo_box):
    repo_box.configure(folder="~/work/")
    assert far_path(find_host("gpu"), "adapters", "run 1", "it's") == "'work/adapters/run 1/it'\"'\"'s'"


# --- name, TCP, banner ------------------------------------------------------------------------------------------------------

@pytest.fixture
def talk(monkeypatch):
    """Give a function that answers every connection to a new port with bytes, and then waits or closes."""
    monkeypatch.setattr(layers, "CONNECT_TIMEOUT_S", 0.5)
    monkeypatch.setattr(ssh, "CONNECT_TIMEOUT_S", 1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        kept = []

        def answer(words, close):
            def serve():
                while True:
                    try:
                        kept.append(listener.accept()[0])
                    except OSError:
                        return
                    kept[-1].sendall(words)
                    if close:
                        kept[-1].close()
            threading.Thread(target=serve, daemon=True).start()
            return listener.getsockname()[1]
        yield answer
        listener.shutdown(socket.SHUT_RDWR)


def test_unknown_name(repo_box):
    repo_box.configure(host="no-such-machine.invalid")
    assert_fails_at("name", repo_box, "the name no-such-machine.invalid is not known", 'mend "host"')


def test_closed_port(repo_box):
    assert_fails_at("TCP", repo_box, f"nothing listens on port {repo_box.port}", 'mend "host" and "port"')
    repo_box.configure(provider="runpod")
    assert_fails_at("TCP", repo_box, '"SSH over exposed TCP"', 'give its "id" and install runpodctl')


@pytest.mark.parametrize("words, close, said", [
    (b"", False, "takes connections and says nothing"),
    (b"", True, "takes connections and closes them"),
    (b"220 mail.example.org ESMTP\r\n", True, "something that says b'220 mail.example.org ESMTP"),
])
def test_a_port_that_is_no_ssh_server(repo_box, talk, words, close, said):
    repo_box.configure(port=talk(words, close))
    assert_fails_at("banner", repo_box, said)


def test_a_web_server_on_the_port(repo_box):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    server.RequestHandlerClass.log_message = lambda *arguments: None
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    repo_box.configure(port=server.server_port)
    assert_fails_at("banner", repo_box, "is no SSH server but a web server")
    server.shutdown()


# --- host key -----------------------------------------------------------------------------------------------------------------

@needs_sshd
def test_a_changed_host_key_is_refused_until_the_shown_command_is_typed(box):
    with connected(find_host("gpu")) as far:
        assert far_sh(far, "true")[0] == 0
    box.new_host_key("ecdsa")  # of another kind: it does not pass for one more key of the same machine
    assert_fails_at("host key", box, "its host key is not the one seen before", f"rm '{box.known_hosts}'   # if")
    subprocess.run(far_error().hint, shell=True, check=True)
    with connected(find_host("gpu")) as far:
        assert far_sh(far, "true")[0] == 0


@needs_sshd
def test_the_key_belongs_to_the_id_whatever_the_address(box):
    def reach():
        with connected(find_host("gpu")) as far:
            return far_sh(far, "echo $((6 * 7))")[1]
    box.configure(id="pod-1")
    assert reach() == b"42\n"
    box.new_host_key()
    box.configure(id="pod-2")  # the provider gave the address to another pod, and we rented that
    assert reach() == b"42\n"
    box.configure(id="pod-1", host="localhost")  # our first pod, said to be at another address now: its key must still be the first
    assert far_error().layer == "host key"
    assert sorted(path.name for path in box.known_hosts.parent.iterdir()) == ["pod-1", "pod-2"]


# --- authentication -----------------------------------------------------------------------------------------------------------

@needs_sshd
def test_a_key_that_the_box_does_not_know(box):
    make_key(box.tmp / "keys/other")
    box.configure(key=box.tmp / "keys/other")
    assert_fails_at("authentication", box, "is not accepted for user", f"ssh-copy-id -i '{box.tmp}/keys/other' -p {box.port}")
    said, host = "root@127.0.0.1: Permission denied (publickey).\n", find_host("gpu")
    assert "user: ubuntu" in ssh_error(replace(host, provider="lambda"), said).hint
    hint = ssh_error(replace(host, provider="runpod"), said).hint
    assert "web terminal" in hint and "keys/other.pub" in hint


@needs_sshd
def test_a_locked_key_needs_the_agent_and_works_with_it(box, monkeypatch):
    """The agent is real; it is given the key as it was before a passphrase was put on it."""
    shutil.copy2(box.key, box.tmp / "open")
    subprocess.run(["ssh-keygen", "-q", "-p", "-a", "1", "-N", "secret", "-f", box.key], check=True, stdout=subprocess.DEVNULL)
    assert_fails_at("authentication", box, "is protected by a passphrase, and no agent holds it", f"'{box.key}'")
    box.configure(key=f"{box.key}.pub")
    error = far_error()
    assert "is a public key, and no agent holds its private one" in str(error) and error.hint == f"ssh-add '{box.key}'"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", box.tmp / "agent"], stdout=subprocess.PIPE)
    try:
        agent.stdout.readline()  # it prints its socket when it listens
        monkeypatch.setenv("SSH_AUTH_SOCK", str(box.tmp / "agent"))
        subprocess.run(["ssh-add", "-q", box.tmp / "open"], check=True)
        for key in (box.key, f"{box.key}.pub"):
            box.configure(key=key)
            with connected(find_host("gpu")) as far:
                assert far_sh(far, "true")[0] == 0
        (box.tmp / "authorized_keys").write_text("")  # held by the agent, and yet not accepted: no agent is to blame
        assert "is not accepted for user" in str(far_error())
    finally:
        agent.terminate()
        agent.wait()


@needs_sshd
def test_a_file_that_is_no_key(box):
    box.key.write_text("not a key\n")
    assert_fails_at("authentication", box, "cannot be read", "ssh-keygen -y -f")


# --- shell, and what comes after --------------------------------------------------------------------------------------------

@needs_sshd
@pytest.mark.parametrize("hook, said", [
    ("echo Welcome to your pod", "print into the output of every command, which breaks rsync: 'Welcome to your pod'"),
    ("echo This account is currently not available.; exit 1", "does not run commands (status 1); it says: This account is"),
    ("cat >/dev/null", "does not run commands (status 0); it says: nothing"),
])
def test_a_shell_that_is_none_for_programs(box, hook, said):
    box.hook.write_text(f"{hook}\n")
    status, rows, err = check(box)
    assert status == 1 and list(rows) == CONNECTION and rows["shell"][0] == "failure"
    assert ": shell: " in err and said in err and "Try: " in err


@needs_sshd
def test_a_connection_lost_in_the_middle(box):
    box.hook.write_text("kill -9 $PPID\n")
    assert far_error().layer == "connection"
    box.hook.write_text("sleep 20\n")
    with connected(find_host("gpu")) as far, pytest.raises(ReachError, match="shell: no answer within"):
        far_sh(far, "true", timeout_s=0.4)


@pytest.mark.parametrize("said, layer", [  # words of OpenSSH 8 to 10, on Linux and macOS
    ("ssh: Could not resolve hostname box: nodename nor servname provided, or not known\n", "name"),
    ("ssh: connect to host 192.0.2.1 port 22: Operation timed out\n", "TCP"),
    ("ssh: connect to host 192.0.2.1 port 22: No route to host\nrsync error: unexplained error (code 255)\n", "TCP"),
    ("Connection timed out during banner exchange\nConnection to 192.0.2.1 port 22 timed out\n", "banner"),
    ("Unable to negotiate with 192.0.2.1 port 22: no matching host key type found. Their offer: ssh-rsa\n", "host key"),
    ('sign_and_send_pubkey: signing failed for ED25519 "key" from agent: agent refused operation\nPermission denied (publickey).\n',
     "authentication"),
    ("Received disconnect from 192.0.2.1 port 22:2: Too many authentication failures\n", "authentication"),
    ("exec request failed on channel 0\n", "shell"),
    ("Timeout, server 192.0.2.1 not responding.\r\n", "connection"),
    ("Read from remote host 192.0.2.1: Operation timed out\r\nclient_loop: send disconnect: Broken pipe\r\n", "connection"),
    ("ssh_config: line 3: Bad configuration option: hostkeyalia\n", "ssh"),
])
def test_what_ssh_says_names_the_layer(said, layer):
    error = ssh_error(POD, said)
    assert error.layer == layer and f": {layer}: " in str(error) and error.hint
    assert ("does not sign" in str(error)) == ("agent refused" in said)


# --- what the box has -------------------------------------------------------------------------------------------------------

def look():
    """Return {what: (outcome, found)}."""
    with connected(find_host("gpu")) as far:
        return {what: (outcome, found) for what, outcome, found in equipment.look(far)}


@needs_sshd
def test_programs_that_are_not_there(box):
    programs(box, df=FREE)
    status, rows, err = check(box)
    assert status == 1 and "checks failed: python3, rsync, sha256." in err
    assert [rows[what][0] for what in BOX] == ["failure", "failure", "warning", "failure", "fine", "fine", "warning"]
    assert rows["python3"][1].startswith("no python3; 3.10 to 3.13 is needed. Try: ") and "apt-get install -y rsync" in rows["rsync"][1]


@pytest.mark.parametrize("has, setup, outcome", [
    ({"python3": ["3.12"]}, "auto", "fine"), ({"python3": ["3.8"], "python3.11": ["3.11"]}, "venv", "fine"),
    ({"python3": ["3.8"]}, "auto", "failure"), ({"python3": ["3.8"], "has": ["conda"]}, "auto", "fine"),
    ({"python3": ["3.8"], "has": ["conda"]}, "venv", "failure"), ({"python3": ["3.7"], "has": ["conda"]}, "auto", "failure"),
    ({"python3": ["3.14"]}, "auto", "failure"), ({"python3.11": ["3.11"]}, "auto", "failure"),
])
def test_which_python_will_do(has, setup, outcome):
    assert equipment._python(has, setup, "apt-get install -y")[1] == outcome


@needs_sshd
def test_the_far_python_is_asked_for_its_version(box):
    programs(box, "tar", df=FREE, python3=f'exec {shlex.quote(sys.executable)} "$@"')
    rows = look()
    assert rows["python3"] == ("fine", f"python3 is {sys.version_info[0]}.{sys.version_info[1]}")
    assert rows["rsync"][0] == "warning" and "files go through tar" in rows["rsync"][1] and rows["sha256"] == ("fine", "python3")


@needs_sshd
def test_a_full_and_a_read_only_disk(box):
    with small_disk(box.home / "volume") as remount:
        box.configure(folder="volume/deep/weatherman")
        leave_room(box.home / "volume", remount, 1_000_000)
        outcome, found = look()["folder"]
        assert outcome == "failure" and "volume cannot be written" in found and "No space left" in found
        assert not list((box.home / "volume").iterdir())
        remount("size=64m,ro")
        outcome, found = look()["folder"]
        assert outcome == "failure" and "Read-only file system" in found


@needs_sshd
def test_folder_and_space(box):
    programs(box, df="echo '/dev/sda1 9 0 19000000 1% /'")
    box.far.write_text("in the way")
    assert look()["folder"] == ("failure", 'weatherman cannot be written: it is a file. Try: another "folder" in configs/hosts.yaml')
    box.configure(folder=box.tmp / "work", provider="runpod")
    rows = look()
    assert rows["space"] == ("failure", "19.5 GB free")  # 19,000,000 KiB
    assert rows["folder"] == ("warning", f"{box.tmp}/work is lost when the pod is stopped; only /workspace is kept")
    programs(box, df="echo 'mfs#eu.runpod.net:9421 9 0 9000000000000 1% /workspace'")
    assert look()["space"] == ("warning", 'a network volume, which reports its whole cluster. Try: "volume_gb" in configs/hosts.yaml')
    box.configure(volume_gb=25)
    assert look()["space"] == ("warning", "25.0 GB at most, by volume_gb and df")


# --- through another machine -----------------------------------------------------------------------------------------------

@needs_sshd
def test_a_jump_host(box):
    jump = f"{find_host('gpu').user}@localhost:{box.port}"  # the same sshd, by another name: ssh refuses to go in a circle
    box.configure(jump=jump)
    with connected(find_host("gpu")) as far:
        assert far_sh(far, "echo there")[1] == b"there\n"
    box.configure(jump=jump, port=free_port())
    error = far_error()
    assert error.layer == "TCP" and "the jump host" in str(error) and "Connection refused" in str(error)
    box.configure(jump=f"127.0.0.1:{free_port()}")
    assert_fails_at("TCP", box, "nothing listens on port")


# --- RunPod, and how machines are stopped ------------------------------------------------------------------------------------

@pytest.fixture
def runpodctl(tmp_path, monkeypatch):
    """Give a function that puts a shell script in runpodctl's place."""
    def install(text):
        write(tmp_path, {"bin/runpodctl": f"#!/bin/sh\n{text}\n"})
        (tmp_path / "bin/runpodctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return install


def test_runpods_proxy_is_refused_before_anything_is_tried(repo_box):
    repo_box.configure(host="ssh.runpod.io", provider="runpod")
    status, rows, err = check(repo_box)
    assert status == 2 and rows == {} and "hosts.yaml:4: ssh.runpod.io is RunPod's proxy" in err and "carries no files" in err
    assert '"Expose TCP Ports"' in err and '"SSH over exposed TCP"' in err


@needs_sshd
def test_a_pod_is_reached_where_runpodctl_says_it_is(box, runpodctl):
    answer = json.dumps({"id": "pod1", "name": "x", "ssh_command": "ssh root@127.0.0.1", "ip": "127.0.0.1", "port": box.port})
    runpodctl(f"[ \"$*\" = 'ssh info pod1' ] || exit 9\necho 'warning: an update is there' >&2\necho '{answer}'")
    box.configure(provider="runpod", id="pod1", host="192.0.2.1", port=9)
    with connected(find_host("gpu")) as far:
        assert (far.host.host, far.host.port) == ("127.0.0.1", box.port)
        assert far_sh(far, "echo there")[1] == b"there\n"


HELP = "echo 'SSH key management and connection to pods'; echo; echo 'Usage: runpodctl ssh [command]'"
OLD = "pod1\\tname\\t1 H100\\timage\\t{}\\tRESERVED\\t8\\t64\\t20\\t50\\t1.740\\t{}\\t\\n"
PORTS = "100.65.1.2:60001->8888\\302\\240(prv,http),203.0.113.9:40022->22\\302\\240(pub,tcp)"


@pytest.mark.parametrize("script, expected", [
    (f'case $1 in ssh) {HELP};; get) printf "{OLD.format("RUNNING", PORTS)}";; esac', ("203.0.113.9", 40022)),
    (f'case $1 in ssh) {HELP};; get) printf "{OLD.format("RUNNING", "")}";; esac', "it publishes no TCP port 22"),
    (f'case $1 in ssh) {HELP};; get) printf "{OLD.format("EXITED", "")}";; esac', UserError),
    ('echo \'{"error": "pod not ready", "id": "pod1", "status": "EXITED"}\'', UserError),
    ('echo \'{"error": "pod not ready: image pull", "id": "pod1", "status": "RUNNING"}\'', "pod not ready: image pull"),
    ('echo \'{"error":"pod pod1 not found"}\' >&2; exit 1', "pod pod1 not found"),
    ('echo \'{"ip": "; rm -rf", "port": 22}\'', "trying the address in configs/hosts.yaml"),
    ('echo "Error: no API key" >&2; exit 1', "Error: no API key"),
])
def test_what_runpodctl_may_say(runpodctl, capsys, script, expected):
    runpodctl(script)
    if expected is UserError:
        with pytest.raises(UserError, match="the pod pod1 does not run") as caught:
            current_address(POD)
        assert caught.value.hint == "runpodctl start pod pod1"
    elif isinstance(expected, tuple):
        assert current_address(POD) == replace(POD, host=expected[0], port=expected[1])
    else:
        assert current_address(POD) == POD
        assert expected in capsys.readouterr().err


def test_runpodctl_is_asked_for_pods_with_an_id_alone(runpodctl):
    runpodctl("exit 3")
    for host in (replace(POD, id=None), replace(POD, provider="other")):
        assert current_address(host) is host


def test_how_a_machine_is_stopped(runpodctl):
    runpodctl("")
    assert stop_command(POD) == ["runpodctl", "stop", "pod", "pod1"]
    assert stop_command(replace(POD, provider="lambda", stop=["sh", "end.sh"])) == ["sh", "end.sh"]


@pytest.mark.parametrize("changes, said, hint", [
    ({"id": None}, "gives none", "id: POD_ID"), ({"provider": "lambda"}, "only terminated", "cloud.lambda.ai"),
    ({"provider": "home"}, "is not known", '"stop: ['), ({"stop": ["no-such-program"]}, "not installed here", '"stop"'),
    ({}, "needs runpodctl, which is not installed here", "brew install runpod/runpodctl/runpodctl"),
])
def test_a_machine_that_cannot_be_stopped(monkeypatch, changes, said, hint):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match=said) as caught:
        stop_command(replace(POD, **changes))
    assert hint in caught.value.hint


@pytest.mark.parametrize("jump", ["-oProxyCommand=x", "me@host:port", "a b", "me@host:123456"])
def test_a_jump_host_that_is_none_is_refused(repo_box, jump):
    repo_box.configure(jump=f'"{jump}"')
    with pytest.raises(ConfigError, match="hosts.gpu.jump"):
        find_host("gpu")
