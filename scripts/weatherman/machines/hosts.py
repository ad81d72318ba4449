"""The machines of configs/hosts.yaml: look one up, reach it over ssh, and say in plain words why it did not answer."""
from dataclasses import dataclass
from pathlib import Path

from config_loader import ConfigError, load_config
from paths import CONFIGS_DIR
from weatherman.cli import UserError

HOSTS_FILE = CONFIGS_DIR / "hosts.yaml"
CONNECT_TIMEOUT_S = 15
KEEP_ALIVE_S = 15    # seconds between keep-alives; after KEEP_ALIVE_COUNT unanswered ones ssh gives the connection up
KEEP_ALIVE_COUNT = 4
SSH_FAILED = 255     # exit status of ssh(1) for its own failures; every other status is the far command's


@dataclass(frozen=True)
class Host:
    """One reachable machine. `folder` is absolute, or relative to the home folder there; `known_hosts` None: ssh's own file."""

    alias: str
    host: str
    port: int
    user: str
    key: Path
    folder: str
    known_hosts: Path | None

    def __str__(self):
        return f"{self.alias} ({self.user}@{self.host} port {self.port})"


def find_host(alias):
    """Return the Host called `alias`. Raises ConfigError: no hosts.yaml, unknown alias, bad value, key absent or open to others."""
    from weatherman.schemas import Hosts
    if not HOSTS_FILE.is_file():
        raise ConfigError("configs/hosts.yaml: no such file; it lists the machines that can be synced with.",
                          "cp configs/hosts.example.yaml configs/hosts.yaml, then put your machine in it")
    resolved = load_config(HOSTS_FILE, Hosts)
    hosts = resolved.values.hosts
    if alias not in hosts:
        raise ConfigError(f'configs/hosts.yaml: no host is called "{alias}". There are: {", ".join(hosts)}.',
                          f'add "{alias}" below "hosts:", with the fields that configs/hosts.example.yaml shows')
    entry = hosts[alias]
    key = Path(entry.key).expanduser()
    _check_key(key, resolved.places[("hosts", alias, "key")])
    known_hosts = entry.known_hosts and Path(entry.known_hosts).expanduser()
    return Host(alias, entry.host, entry.port, entry.user, key, entry.folder.removeprefix("~/"), known_hosts)


def _check_key(key, place):
    """Raise ConfigError unless `key` is a file that only its owner can read: ssh ignores any other, and asks for a password."""
    if not key.is_file():
        raise ConfigError(f"{place}: the key file {key} does not exist.", f"ssh-keygen -t ed25519 -f '{key}'")
    mode = key.stat().st_mode & 0o777
    if mode & 0o077:
        raise ConfigError(f"{place}: the key file {key} can be read by others (mode {mode:o}); expected 600.", f"chmod 600 '{key}'")


def ssh_config(host):
    """Return an ssh_config(5) text that reaches `host` by its alias and never asks anything.

    A file serves ssh and rsync alike, and spares quoting: rsync splits the text of `-e` at spaces.
    """
    lines = [
        f"Host {host.alias}", f"HostName {host.host}", f"Port {host.port}", f"User {host.user}",
        f'IdentityFile "{host.key}"', "IdentitiesOnly yes", "BatchMode yes", f"ConnectTimeout {CONNECT_TIMEOUT_S}",
        f"ServerAliveInterval {KEEP_ALIVE_S}", f"ServerAliveCountMax {KEEP_ALIVE_COUNT}", "StrictHostKeyChecking accept-new",
        # ssh compresses rather than rsync: macOS's rsync and a distribution's may know no common method.
        "Compression yes",
    ]
    if host.known_hosts:
        lines.append(f'UserKnownHostsFile "{host.known_hosts}"')
    return "\n".join(lines) + "\n"


def ssh_error(host, stderr):
    """Return the UserError for an ssh that failed by itself (status 255), from what it wrote to stderr (text)."""
    known = f" -f '{host.known_hosts}'" if host.known_hosts else ""
    causes = {
        "Host key verification failed": (
            "its host key is not the one seen before; a new machine at this address has a new key, and so has an impostor",
            f"ssh-keygen{known} -R '[{host.host}]:{host.port}' if you know that the machine is new"),
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
