"""A real sshd on loopback that the tests start and end themselves, a repository to run the scripts of, and a slow link between them."""
import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent
SSHD = shutil.which("sshd", path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")
needs_sshd = pytest.mark.skipif(not (SSHD and shutil.which("rsync") and shutil.which("ssh-keygen")),
                                reason="needs sshd and rsync: apt-get install -y openssh-server openssh-client rsync")
# A repository that can sync itself. More files would only cost time: the far side starts two programs for each.
FOLDERS = ("", "machines/", "remote/", "__pycache__/", "machines/__pycache__/", "remote/__pycache__/")
COPIED = ["scripts/sync_*.sh", "scripts/paths.py", "scripts/config_loader.py", *(f"scripts/weatherman/{folder}*.py*" for folder in FOLDERS),
          "configs/hosts.example.yaml", "configs/paths_config.json", "configs/templates/*"]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def make_key(path, kind="ed25519", passphrase=""):
    """Make a key pair at `path` and `path`.pub; one round of key derivation will do for a test."""
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-a", "1", "-f", path], check=True)


def write(root, files):
    """Write {name: text or bytes} below `root`."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def tree(root):
    """Return {relative name: bytes} of every file below `root`."""
    return {os.path.relpath(os.path.join(folder, name), root): (Path(folder) / name).read_bytes()
            for folder, _, files in os.walk(root) for name in files}


def wait_for(check, seconds=15):
    """Return the first true value of `check()`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := check():
            return found
        time.sleep(0.02)
    raise AssertionError(f"{check} stayed false for {seconds} s")


class Box:
    """A repository to sync from (`repo`), and the folder on the far side (`far`). `hook`: shell text run there before each command."""

    def __init__(self, tmp, port):
        self.tmp, self.port = tmp, port
        self.repo, self.home, self.key = tmp / "the repo", tmp / "home", tmp / "keys" / "id_test"
        self.far = self.home / "weatherman"
        self.hook, self.known_hosts = tmp / "hook.sh", self.repo / "configs/known_hosts/gpu"

    def configure(self, alias="gpu", text=None, **changes):
        fields = {"provider": "other", "host": "127.0.0.1", "port": self.port, "user": getpass.getuser(),
                  "key": self.key, "folder": "weatherman", **changes}
        text = text or f"hosts:\n  {alias}:\n" + "".join(f"    {key}: {value}\n" for key, value in fields.items())
        (self.repo / "configs/hosts.yaml").write_text(text)

    def new_host_key(self, kind="ed25519"):
        """Start the far side's sshd anew with another host key, as a new machine at the same address has it."""
        self.server.terminate()
        self.server.wait()
        (self.tmp / "host_key").unlink()
        make_key(self.tmp / "host_key", kind)
        self.server = start_sshd(self.tmp, self.port)

    def start(self, direction, *arguments, **environment):
        launcher = self.repo / f"scripts/sync_{direction}_remote.sh"
        env = {**os.environ, "PYTHON": sys.executable, "WEATHERMAN_BASE_DIR": "",
               "TMPDIR": str(self.tmp), **{k: str(v) for k, v in environment.items()}}
        return subprocess.Popen([launcher, *arguments], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                start_new_session=True)

    def run(self, direction, *arguments, **environment):
        """Return (exit status, stdout, stderr)."""
        process = self.start(direction, *arguments, **environment)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err


@pytest.fixture
def repo_box(tmp_path):
    """A Box whose far side is not there."""
    box = Box(tmp_path, free_port())
    (tmp_path / "keys").mkdir()
    for path in [path for pattern in COPIED for path in REPO.glob(pattern)]:
        target = box.repo / path.relative_to(REPO)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    write(box.repo, {"README.md": "read me\n", "Makefile": "demo:\n", "requirements-remote.txt": "torch\n",
                     "setup_remote.sh": "#!/bin/sh\n", "data/processed/train.jsonl": '{"id": "1"}\n' * 500,
                     "data/synthetic/tool_use.jsonl": '{"id": "2"}\n'})
    write(tmp_path, {"keys/id_test": "not a key\n"})
    box.key.chmod(0o600)
    box.home.mkdir()
    box.configure()
    return box


@pytest.fixture
def box(repo_box):
    """A Box whose far side is a real sshd on loopback; it ends with the test."""
    tmp = repo_box.tmp
    repo_box.key.unlink()
    make_key(repo_box.key)
    make_key(tmp / "host_key")
    # Every command of the far side passes here: it gives the session a home of its own, and tests a place for faults.
    # A version manager's python3 takes five times as long to start as the one behind it.
    path = f"{Path(sys.executable).resolve().parent}:$PATH"
    write(tmp, {"session.sh": f"export HOME='{repo_box.home}' PATH=\"{path}\"; cd \"$HOME\"\n"
                              f"if [ -f '{repo_box.hook}' ]; then . '{repo_box.hook}'; fi\n"
                              'exec sh -c "$SSH_ORIGINAL_COMMAND"\n',
                "authorized_keys": f"command=\"sh '{tmp}/session.sh'\" {repo_box.key.with_suffix('.pub').read_text()}"})
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    repo_box.server = start_sshd(tmp, repo_box.port)
    yield repo_box
    repo_box.server.terminate()
    repo_box.server.wait()


def start_sshd(tmp, port):
    options = {"Port": port, "ListenAddress": "127.0.0.1", "HostKey": tmp / "host_key", "AuthorizedKeysFile": tmp / "authorized_keys",
               "PidFile": "none", "UsePAM": "no", "StrictModes": "no", "PasswordAuthentication": "no",
               "KexAlgorithms": "curve25519-sha256",  # the post-quantum ones triple what a connection costs
               "SetEnv": "SHLVL=2"}  # or bash runs the ~/.bashrc of whoever tests, before every command
    write(tmp, {"sshd_config": "".join(f"{key} {value}\n" for key, value in options.items())})
    server = subprocess.Popen([SSHD, "-D", "-e", "-f", tmp / "sshd_config"], stderr=(tmp / "sshd.log").open("wb"))

    def listens():
        assert server.poll() is None, (tmp / "sshd.log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0
    wait_for(listens)
    return server


class SlowLink:
    """A TCP forwarder to `port`, at most `rate` bytes a second each way. `moved` counts the bytes that passed.

    A way ("out" or "in", as its client sees it) that is in `held` passes nothing, while everything stays connected.
    """

    def __init__(self, port, rate):
        self.target, self.rate, self.moved, self.held, self.ends = port, rate, 0, set(), []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)  # or the kernel takes megabytes ahead of us
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near = self.listener.accept()[0]
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self.target))
            self.ends += [near, far]
            for source, sink, way in ((near, far, "out"), (far, near, "in")):
                threading.Thread(target=self.pump, args=(source, sink, way), daemon=True).start()

    def pump(self, source, sink, way):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                while way in self.held:
                    time.sleep(0.02)
                sink.sendall(data)
                self.moved += len(data)
                time.sleep(len(data) / self.rate)
        shut(source, sink)

    def cut(self):
        """Break every connection that passes here; new ones are let through."""
        shut(*self.ends)


def shut(*sockets):
    for end in sockets:  # shutdown, not close: close() waits for the other thread's recv
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
