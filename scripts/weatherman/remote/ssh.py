"""Reach a machine of configs/hosts.yaml over ssh. Every failure names the layer that failed (weatherman/remote/layers.py)."""
import contextlib
import os
import re
import shlex
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from weatherman.remote.hosts import Host
from weatherman.remote.layers import CONNECT_TIMEOUT_S, ReachError, ssh_error
from weatherman.remote.providers import current_address

KEEP_ALIVE_S = 15    # seconds between keep-alives; after KEEP_ALIVE_COUNT unanswered ones ssh gives the connection up
KEEP_ALIVE_COUNT = 4
SSH_FAILED = 255     # exit status of ssh(1) for its own failures; every other status is the far command's
SHELL_WAIT_S = 60    # a far shell that has not echoed a word by then never will
READY = b"weatherman-shell-ready\n"
SSH_SAYS = re.compile(r"^(Warning: Permanently added |\*\* ).*\n?", re.MULTILINE)  # ssh's own news (post-quantum warnings have stars)


@dataclass(frozen=True)
class Far:
    """The other side. `work` is a temporary folder here that holds its ssh_config."""

    host: Host
    work: Path


@contextlib.contextmanager
def connected(host):
    """Give the Far of a Host, at the address it has now; its temporary folder goes at the end. Nothing is reached yet."""
    host = current_address(host)
    host.known_hosts.parent.mkdir(mode=0o700, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="weatherman-") as work:
        far = Far(host, Path(work))
        (far.work / "ssh_config").write_text(ssh_config(host), encoding="utf-8")
        yield far


def ssh_command(far):
    """Return the argv that starts ssh to the far side; a command to run there may follow."""
    return ["ssh", "-F", str(far.work / "ssh_config"), far.host.alias]


def far_path(host, *parts):
    """Return the path of `parts` below the work folder there, quoted for its shell; it holds where the shell starts, the home folder."""
    return shlex.quote("/".join((host.folder.rstrip("/"), *parts)))


def far_sh(far, script, timeout_s=None):
    """Run a POSIX shell script on the far side; return (exit status, stdout bytes, stderr text).

    Raises ReachError when ssh fails, or when the script has not ended after `timeout_s` seconds.
    """
    try:
        done = subprocess.run([*ssh_command(far), "sh -s"], input=os.fsencode(script), capture_output=True, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise ReachError(far.host, "shell", f"no answer within {timeout_s:.0f} s",
                         "the same command again, it continues where it stopped") from None
    stderr = SSH_SAYS.sub("", done.stderr.decode("utf-8", "replace").replace("\r\n", "\n"))
    if done.returncode == SSH_FAILED:
        raise ssh_error(far.host, stderr)
    return done.returncode, done.stdout, stderr


def ssh_config(host):
    """Return an ssh_config(5) text that reaches `host` by its alias and never asks anything.

    A file serves ssh and rsync alike, and spares quoting: rsync splits the text of `-e` at spaces. With `-F` ssh reads neither
    ~/.ssh/config nor the system's file, so no forwarding, no shared connection and no other known hosts come in from there.
    """
    lines = [
        f"Host {host.alias}", f"HostName {host.host}", f"Port {host.port}", f"User {host.user}",
        # The key is kept by the machine's id, not by its address: a pod has a new address at each start, and others get the old one.
        f"HostKeyAlias {host.identity}", *([f"ProxyJump {host.jump}"] if host.jump else []),
        "Host *",  # and the jump host, which ssh reaches with this same file
        f"IdentityFile {_quoted(host.key)}", "IdentitiesOnly yes", "BatchMode yes", f"ConnectTimeout {CONNECT_TIMEOUT_S}",
        f"ServerAliveInterval {KEEP_ALIVE_S}", f"ServerAliveCountMax {KEEP_ALIVE_COUNT}",
        "StrictHostKeyChecking accept-new", f"UserKnownHostsFile {_quoted(host.known_hosts)}", "GlobalKnownHostsFile /dev/null",
        "HashKnownHosts no", "CheckHostIP no", "UpdateHostKeys no",
        # ssh compresses rather than rsync: macOS's rsync and a distribution's may know no common method.
        "Compression yes",
    ]
    return "\n".join(lines) + "\n"


def _quoted(path):
    return '"' + str(path).replace("%", "%%") + '"'


def session(far):
    """Yield (layer, what was found) for the layers that only ssh can tell: host key, authentication, shell. Raises ReachError."""
    host, seen = far.host, far.host.known_hosts.exists()
    try:
        status, output, stderr = far_sh(far, f"printf {shlex.quote(READY.decode())}", timeout_s=SHELL_WAIT_S)
    except ReachError as error:
        if error.layer in ("authentication", "shell"):
            yield "host key", _host_key(host, seen)
        raise
    yield "host key", _host_key(host, seen)
    yield "authentication", f"{host.user} with {host.key}"
    if not output.endswith(READY):
        said = (output.decode("utf-8", "replace") + stderr).strip()[-200:] or "nothing"
        raise ReachError(host, "shell", f"its shell does not run commands (status {status}); it says: {said}",
                         f"sudo chsh -s /bin/bash {host.user}   # there; or another \"user\" in configs/hosts.yaml")
    if noise := output.removesuffix(READY).decode("utf-8", "replace").strip():
        raise ReachError(host, "shell", f"its start files print into the output of every command, which breaks rsync: {noise[:80]!r}",
                         "put   case $- in *i*) ;; *) return ;; esac   before what prints in ~/.bashrc there")
    yield "shell", "runs commands, and prints nothing of its own"


def _host_key(host, seen):
    listed = subprocess.run(["ssh-keygen", "-l", "-f", host.known_hosts], capture_output=True, text=True).stdout
    found = re.search(rf"(SHA256:\S+) {re.escape(host.identity)} \((\S+)\)", listed)
    return f"{found[2]} {found[1]}, {'the one seen before' if seen else 'accepted now, at first sight'}" if found else "not kept"
