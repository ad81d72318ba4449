"""The layers between here and a far shell, from below: name, TCP, banner, host key, authentication, shell. An error names its layer.

`reach` tries the first three with a socket; the others only ssh can try, and `ssh_error` reads what it says.
"""
import re
import socket
import subprocess
import sys
import time

from weatherman.cli import UserError

CONNECT_TIMEOUT_S = 15
BANNER_MAX_BYTES = 8192


class ReachError(UserError):
    """A machine that cannot be reached. `layer`: the first that failed. `cause`: why, without a full stop."""

    def __init__(self, host, layer, cause, hint):
        super().__init__(f"{host}: {layer}: {cause}.", hint)
        self.layer, self.cause = layer, cause


# --- with a socket ----------------------------------------------------------------------------------------------------

def reach(host):
    """Yield (layer, what was found) for name, TCP and banner of the machine or its jump host. Raises ReachError at the first failure."""
    name, port = host.door
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError):
        raise _name_error(host, name) from None
    yield "name", ", ".join(sorted({address[0] for *_, address in found}))
    try:
        link = socket.create_connection((name, port), CONNECT_TIMEOUT_S)
    except OSError as error:
        raise _tcp_error(host, port, error.strerror or str(error)) from None
    with link:
        yield "TCP", f"port {port} answers"
        yield "banner", _read_banner(host, link)


def _read_banner(host, link):
    """Return the line by which an SSH server introduces itself; others may come before it (RFC 4253 §4.2). Raises ReachError."""
    data, deadline = b"", time.monotonic() + CONNECT_TIMEOUT_S
    try:
        link.sendall(b"SSH-2.0-weatherman\r\n")  # as ssh does: a web server says nothing until it is asked
        while not (line := re.search(rb"^SSH-[^\r\n]+(?=\r?\n)", data, re.MULTILINE)) and len(data) < BANNER_MAX_BYTES:
            link.settimeout(max(0.01, deadline - time.monotonic()))
            more = link.recv(4096)
            if not more:
                break
            data += more
    except TimeoutError:
        line = None
        if not data:
            raise _silent(host) from None
    except ConnectionError:
        line = None
    if line:
        return line[0].decode("ascii", "replace")
    raise _closes(host) if not data else _another_server(host, data)


def _silent(host):
    return ReachError(host, "banner", f"port {host.door[1]} takes connections and says nothing; an SSH server speaks at once",
                      f"wait until the machine has started, else {_address_hint(host)}")


def _closes(host):
    return ReachError(host, "banner", f"port {host.door[1]} takes connections and closes them before a word is said",
                      "start sshd there, or wait until it has started (in a pod's web terminal: service ssh start)")


def _another_server(host, data):
    web = data.startswith(b"HTTP/") or re.search(rb"<html|<!doctype", data, re.IGNORECASE)
    what = "a web server" if web else f"something that says {data[:40]!r}"
    return ReachError(host, "banner", f"port {host.door[1]} is no SSH server but {what}", _address_hint(host))


# --- from what ssh says -------------------------------------------------------------------------------------------------

def ssh_error(host, stderr):
    """Return the ReachError for an ssh that failed by itself (status 255), from what it wrote to stderr (text)."""
    for pattern, explain in SIGNS:
        if found := re.search(pattern, stderr):
            return explain(host, found)
    last = stderr.strip().rsplit("\n", 1)[-1] or "it says nothing"
    return ReachError(host, "ssh", f"ssh failed: {last}", f"python scripts/check_host.py {host.alias}")


def _name_error(host, name):
    return ReachError(host, "name", f"the name {name} is not known",
                      'mend "host" in configs/hosts.yaml, unless this machine has no network')


def _tcp_error(host, port, reason):
    if "refused" in reason:
        return ReachError(host, "TCP", f"nothing listens on port {port}", f"wait until the machine has started, else {_address_hint(host)}")
    return ReachError(host, "TCP", f"no answer from port {port} ({reason}); the machine may be stopped, or a firewall in the way",
                      f"start the machine, then the same command again; else {_address_hint(host)}")


def _address_hint(host):
    if host.provider == "runpod":
        known = "" if host.id else ', or give its "id" and install runpodctl'
        return f'copy address and port of the pod\'s "SSH over exposed TCP" to configs/hosts.yaml (new at each start){known}'
    return 'look up the current address and port at your provider, then mend "host" and "port" in configs/hosts.yaml'


def _behind_jump(host, found):
    return ReachError(host, "TCP", f"the jump host {host.jump} answers, but reaches no port {host.port} of {host.host} ({found[1]})",
                      'mend "host" and "port" in configs/hosts.yaml; the jump host must allow TCP forwarding')


def _host_key_error(host, found):
    sent = re.search(r"SHA256:[\w+/]+", found.string)
    now = f" (it is {sent[0]} now)" if sent else ""
    pod = "; a pod makes new keys whenever it is started" if host.provider == "runpod" else ""
    return ReachError(host, "host key", f"its host key is not the one seen before{now}; a new machine at this address has a new key, "
                      f"and so has an impostor{pod}", f"rm '{host.known_hosts}'   # if you know that the machine is new")


def _no_common_method(host, found):
    return ReachError(host, "host key", f"its SSH server and this ssh know no common method ({found[1]})",
                      "apt-get update && apt-get install -y openssh-server   # there, for a newer one")


def _not_accepted(host, found):
    """What keeps a key from being accepted: it cannot be read here, it is locked, or the far side does not know it."""
    user, key = found[1] or host.user, host.key
    state = subprocess.run(["ssh-keygen", "-y", "-P", "", "-f", key], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if state.returncode and not _agent_holds(key):
        if key.suffix == ".pub":
            cause, hint = f"{key} is a public key, and no agent holds its private one", f"ssh-add '{key.with_suffix('')}'"
        elif "passphrase" in state.stderr:
            keep = "--apple-use-keychain " if sys.platform == "darwin" else ""
            cause, hint = f"the key {key} is protected by a passphrase, and no agent holds it", f"ssh-add {keep}'{key}'"
        else:
            cause, hint = f"the key {key} cannot be read ({state.stderr.strip()[-100:]})", f"ssh-keygen -y -f '{key}'"
        return ReachError(host, "authentication", cause, hint)
    return ReachError(host, "authentication", f"the key {key} is not accepted for user {user}", _key_hint(host, user))


def _agent_holds(key):
    """Return whether the running ssh-agent holds `key`; its fingerprint can be read although it is locked."""
    printed = subprocess.run(["ssh-keygen", "-l", "-f", key], capture_output=True, text=True).stdout.split()
    held = subprocess.run(["ssh-add", "-l"], capture_output=True, text=True).stdout.split()
    return len(printed) > 1 and printed[1] in held


def _key_hint(host, user):
    public = f"{host.key.with_suffix('')}.pub" if host.key.suffix == ".pub" else f"{host.key}.pub"
    if host.provider == "runpod":
        return f"add {public} to ~/.ssh/authorized_keys in the pod's web terminal, and to your account's SSH public keys for later pods"
    if host.provider == "lambda" and user != "ubuntu":
        return '"user: ubuntu" in configs/hosts.yaml, as Lambda\'s instances have it'
    via = f" -o ProxyJump={host.jump}" if host.jump else ""
    return f"ssh-copy-id -i '{host.key}' -p {host.port}{via} {user}@{host.host}"


def _refused_by_agent(host, found):
    return ReachError(host, "authentication", f"the agent that holds {host.key} does not sign with it",
                      f"unlock the agent, or ssh-add '{host.key}' again")


def _banner_error(host, found):
    """Look again with a socket, which tells a closing port from another server."""
    try:
        list(reach(host))
    except ReachError as error:
        return error
    return ReachError(host, "banner", "it closed the connection at once, and did not a moment later; its sshd may refuse many at a time",
                      "the same command again")


def _no_shell(host, found):
    return ReachError(host, "shell", f"its SSH server starts no shell ({found[0]})",
                      "restart the machine; it may have no processes or memory left")


def _lost(host, found):
    return ReachError(host, "connection", f"the connection was lost ({found[0].strip()})",
                      "the same command again, it continues where it stopped")


# In the order of the layers; a jump host's errors come before the banner that then never arrives.
SIGNS = (
    (r"Timeout, server \S+ not responding|client_loop: .*|Read from remote host .*|packet_write_wait: .*", _lost),
    (r"Could not resolve hostname ([^\s:]+)", lambda host, found: _name_error(host, found[1])),
    (r"connect to host \S+ port (\d+): (.*)", lambda host, found: _tcp_error(host, found[1], found[2].strip())),
    (r"open failed: (.*)", _behind_jump),
    (r"Host key verification failed", _host_key_error),
    (r"Unable to negotiate with .*?: (.*)", _no_common_method),
    (r"agent refused operation", _refused_by_agent),
    (r"(?:(\S+)@\S+: )?Permission denied \(|Too many authentication failures", _not_accepted),
    (r"timed out during banner exchange", lambda host, found: _silent(host)),
    (r"(?:kex|ssh)_exchange_identification|banner exchange|banner line", _banner_error),
    (r"(?:exec|shell|subsystem) request failed.*", _no_shell),
    (r"Connection (?:to .*)?(?:closed|reset).*|Broken pipe", _lost),
)
