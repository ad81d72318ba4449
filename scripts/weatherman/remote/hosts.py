"""The machines of configs/hosts.yaml: look one up and check what can be checked before it is reached."""
from dataclasses import dataclass
from pathlib import Path

from config_loader import ConfigError, load_config
from paths import CONFIGS_DIR

HOSTS_FILE = CONFIGS_DIR / "hosts.yaml"
KNOWN_HOSTS = CONFIGS_DIR / "known_hosts"  # one file a machine: a new machine has a new id, so its key is accepted once
RUNPOD_PROXY = "ssh.runpod.io"  # gives a terminal, and carries neither commands nor files


@dataclass(frozen=True)
class Host:
    """One reachable machine. `folder` is absolute, or relative to the home folder there; the rest as schemas.Host has it."""

    alias: str
    provider: str
    host: str
    port: int
    user: str
    key: Path
    folder: str
    id: str | None = None
    jump: str | None = None
    setup: str = "auto"
    volume_gb: float | None = None
    usd_per_hour: float | None = None
    stop: list[str] | None = None

    def __str__(self):
        return f"{self.alias} ({self.user}@{self.host} port {self.port})"

    @property
    def identity(self):
        """The name that this machine's host key is kept under: the provider's id, else the alias."""
        return self.id or self.alias

    @property
    def known_hosts(self):
        """The file that holds the host key of this machine."""
        return KNOWN_HOSTS / self.identity

    @property
    def door(self):
        """(name, port) that a connection from here goes to: the jump host's where there is one."""
        if self.jump is None:
            return self.host, self.port
        name, _, port = self.jump.rpartition("@")[2].partition(":")
        return name, int(port or 22)


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
    if entry.host.lower() == RUNPOD_PROXY:
        raise ConfigError(f"{resolved.places[('hosts', alias, 'host')]}: {RUNPOD_PROXY} is RunPod's proxy: it gives a terminal, but "
                          "carries no files.",
                          'Edit Pod, "Expose TCP Ports": add 22; then the address and port that "SSH over exposed TCP" shows')
    key = Path(entry.key).expanduser()
    _check_key(key, resolved.places[("hosts", alias, "key")])
    return Host(alias=alias, **{**entry.model_dump(), "key": key, "folder": entry.folder.removeprefix("~/")})


def _check_key(key, place):
    """Raise ConfigError unless `key` is a file that only its owner can read: ssh ignores any other, and asks for a password.

    A public key (.pub) may be read by all: ssh takes it for the name of a private key that the agent holds.
    """
    if not key.is_file():
        raise ConfigError(f"{place}: the key file {key} does not exist.", f"ssh-keygen -t ed25519 -f '{key}'")
    mode = key.stat().st_mode & 0o777
    if mode & 0o077 and key.suffix != ".pub":
        raise ConfigError(f"{place}: the key file {key} can be read by others (mode {mode:o}); expected 600.", f"chmod 600 '{key}'")
