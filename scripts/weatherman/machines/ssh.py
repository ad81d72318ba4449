"""Reach a machine of configs/hosts.yaml over ssh, and say in plain words why it did not answer."""
import contextlib
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from weatherman.cli import UserError
from weatherman.machines.hosts import Host

CONNECT_TIMEOUT_S = 15
KEEP_ALIVE_S = 15    # seconds between keep-alives; after KEEP_ALIVE_COUNT unanswered ones ssh gives the connection up
KEEP_ALIVE_COUNT = 4
SSH_FAILED = 255     # exit status of ssh(1) for its own failures; every other status is the far command's


@dataclass(frozen=True)
class Far:
    """The other side. `work` is a temporary folder here that holds its ssh_config."""

    host: Host
    work: Path


@contextlib.contextmanager
def connected(host):
    """Give the Far of a Host; its temporary folder goes at the end."""
    host.known_hosts.parent.mkdir(mode=0o700, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="weatherman-") as work:
        far = Far(host, Path(work))
        (far.work / "ssh_config").write_text(ssh_config(host), encoding="utf-8")
        yield far


def far_sh(far, script, timeout_s=None):
    """Run a POSIX shell script on the far side; return (exit status, stdout bytes, stderr text).

    Raises UserError when ssh fails, or when nothing has come back after `timeout_s` seconds.
    """
    command = ["ssh", "-F", str(far.work / "ssh_config"), far.host.alias, "sh -s"]
    try:
        done = subprocess.run(command, input=os.fsencode(script), capture_output=True, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise UserError(f"{far.host}: no answer within {timeout_s:.0f} s.",
                        "the same command again, it continues where it stopped") from None
    stderr = done.stderr.decode("utf-8", "replace")
    if done.returncode == SSH_FAILED:
        raise ssh_error(far.host, stderr)
    return done.returncode, done.stdout, stderr


def ssh_config(host):
    """Return an ssh_config(5) text that reaches `host` by its alias and never asks anything.

    A file serves ssh and rsync alike, and spares quoting: rsync splits the text of `-e` at spaces.
    """
    lines = [
        f"Host {host.alias}", f"HostName {host.host}", f"Port {host.port}", f"User {host.user}",
        f'IdentityFile "{host.key}"', "IdentitiesOnly yes", "BatchMode yes", f"ConnectTimeout {CONNECT_TIMEOUT_S}",
        f"ServerAliveInterval {KEEP_ALIVE_S}", f"ServerAliveCountMax {KEEP_ALIVE_COUNT}", "StrictHostKeyChecking accept-new",
        # ssh compresses rather than rsync: macOS's rsync and a distribution's may know no common method.
        "Compression yes", f'UserKnownHostsFile "{host.known_hosts}"',
    ]
    return "\n".join(lines) + "\n"


def ssh_error(host, stderr):
    """Return the UserError for an ssh that failed by itself (status 255), from what it wrote to stderr (text)."""
    causes = {
        "Host key verification failed": (
            "its host key is not the one seen before; a new machine at this address has a new key, and so has an impostor",
            f"rm '{host.known_hosts}' if you know that the machine is new"),
        "Permission denied": (f"the key {host.key} is not accepted for user {host.user}",
                              f"ssh-copy-id -i '{host.key}' -p {host.port} {host.user}@{host.host}"),
        "Connection refused": (f"nothing listens on port {host.port}",
                               'look up the current address and port at your provider, then mend "host" and "port" in configs/hosts.yaml'),
        "timed out": ("no answer; the machine may be stopped, or a firewall in the way", "start the machine, then the same command again"),
        "Could not resolve": ("the name is not known", 'mend "host" in configs/hosts.yaml'),
    }
    for sign, (cause, hint) in causes.items():
        if sign in stderr:
            return UserError(f"{host}: {cause}.", hint)
    last = stderr.strip().rsplit("\n", 1)[-1]
    return UserError(f"{host}: ssh failed: {last}", "the same command again, it continues where it stopped")
