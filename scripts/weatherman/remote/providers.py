"""What differs from one provider of machines to the next: where a machine is now, and how it is stopped."""
import ipaddress
import json
import re
import shutil
import subprocess
from dataclasses import replace

from weatherman.cli import UserError, log

ASK_WAIT_S = 20  # runpodctl asks RunPod's API, which answers in about a second
NOT_RUNNING = ("EXITED", "TERMINATED")  # RunPod's desiredStatus of a pod that has no address; the other is RUNNING


def current_address(host):
    """Return `host` with the address that it has now: of a RunPod pod with an id what runpodctl says, else what hosts.yaml says.

    A pod's address and port change at each start. Raises UserError when runpodctl says that the pod does not run.
    """
    if host.provider != "runpod" or host.id is None or not shutil.which("runpodctl"):
        return host
    address, why = _from_ssh_info(host)
    if address is None and why is None:  # a runpodctl before 2.0 has no `ssh info`
        address, why = _from_pod_table(host)
    if address is None:
        log(f"{host.alias}: runpodctl does not say where the pod {host.id} is ({why}); trying the address in configs/hosts.yaml")
        return host
    return replace(host, host=address[0], port=address[1])


def _runpodctl(*arguments):
    """Return (stdout, last line of all it said)."""
    try:
        done = subprocess.run(["runpodctl", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                              timeout=ASK_WAIT_S)
    except subprocess.TimeoutExpired:
        return "", f"no answer in {ASK_WAIT_S} s"
    return done.stdout, (done.stderr.strip() or done.stdout.strip() or "it prints nothing").split("\n")[-1][:200]


def _from_ssh_info(host):
    """Return ((ip, port), None), (None, why not), or (None, None) where this runpodctl does not know the command.

    Source: runpodctl 2, cmd/ssh.go: {"ip": …, "port": …, …}, or {"error": "pod not ready…", "status": "EXITED", …} with exit status 0.
    """
    output, last = _runpodctl("ssh", "info", host.id)
    try:
        found = json.loads(output)
    except json.JSONDecodeError:
        return None, last if "error" in last.lower() and "unknown command" not in last.lower() else None
    if not isinstance(found, dict):
        return None, last
    if found.get("status") in NOT_RUNNING:
        raise _not_running(host, found["status"])
    return _address(found.get("ip"), found.get("port")), found.get("error") or last


def _from_pod_table(host):
    """Return ((ip, port), None) or (None, why not) from the table of `get pod`.

    Source: runpodctl 1.14, cmd/pod/getPod.go: columns parted by tabs, ports as "IP:PUBLIC->22\\u00a0(pub,tcp)", parted by commas.
    """
    output, last = _runpodctl("get", "pod", host.id, "-a")
    row = next((line for line in output.split("\n") if line.startswith(host.id)), "")
    if status := next((word for word in NOT_RUNNING if word in row.split()), None):
        raise _not_running(host, status)
    found = re.search(r"([0-9.]+):(\d+)->22\s*\(pub", row)
    return _address(*found.groups()) if found else None, "it publishes no TCP port 22" if row else last


def _address(ip, port):
    try:
        return (str(ipaddress.ip_address(ip)), int(port)) if 0 < int(port) < 65536 else None
    except (TypeError, ValueError):
        return None


def _not_running(host, status):
    return UserError(f"{host.alias}: the pod {host.id} does not run ({status}, says runpodctl).", f"runpodctl start pod {host.id}")


def stop_command(host):
    """Return the argv that stops `host` and ends its price an hour; it is run on this machine.

    Raises UserError where there is none: no `stop` in hosts.yaml and no stop at the provider, or a program that is not installed here.
    """
    command = host.stop or _provider_stop(host)
    if not shutil.which(command[0]):
        raise UserError(f"{host.alias}: its stop command needs {command[0]}, which is not installed here.",
                        "brew install runpod/runpodctl/runpodctl, then runpodctl config --apiKey KEY" if command[0] == "runpodctl"
                        else f'mend "stop" of {host.alias} in configs/hosts.yaml')
    return list(command)


def _provider_stop(host):
    if host.provider == "runpod":
        if host.id is None:
            raise UserError(f"{host.alias}: a pod is stopped by its id, and configs/hosts.yaml gives none.",
                            f'"id: POD_ID" of {host.alias} in configs/hosts.yaml')
        return ["runpodctl", "stop", "pod", host.id]  # version 2 says `pod stop` and still takes this
    if host.provider == "lambda":
        raise UserError(f"{host.alias}: Lambda's instances cannot be stopped, only terminated, and their disk is lost with them.",
                        "terminate it at https://cloud.lambda.ai/instances when everything is home, or give \"stop\" in configs/hosts.yaml")
    raise UserError(f"{host.alias}: how it is stopped is not known.",
                    f'"stop: [ssh, {host.user}@{host.host}, sudo, poweroff]" or the like, of {host.alias} in configs/hosts.yaml')
