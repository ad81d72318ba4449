"""What a box has of what the scripts need there: Python, rsync, tmux, a folder that can be written, space, a card."""
import re

from weatherman.machines.machine import PYTHONS
from weatherman.machines.storage import FAILURE, FINE, GB, SHARED_DEVICES, WARNING, judge
from weatherman.remote.ssh import far_path, far_sh

LEAST_WITH_CONDA = (3, 8)       # conda brings its own Python; scripts/remote_job.py runs before there is one
WAIT_S = 120                    # a cold nvidia-smi takes 20 s, a first write on a network volume a few

# Prints "key<tab>value" lines. The folder need not exist: what counts is the nearest one above it that does.
SCRIPT = """
LC_ALL=C; export LC_ALL
say() { printf '%s\\t%s\\n' "$1" "$2"; }
for p in python3 python3.10 python3.11 python3.12 python3.13; do
  v=$("$p" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) && say "$p" "$v"
done
for p in conda mamba micromamba rsync tmux tar sha256sum shasum; do
  command -v "$p" >/dev/null 2>&1 && say has "$p"
done
d=FOLDER
while [ ! -e "$d" ]; do case $d in */*) d=${d%/*} ;; *) d=. ;; esac; [ -n "$d" ] || d=/; done
say parent "$d"
if [ -d "$d" ]; then
  t="$d/.weatherman-test-$$"
  said=$( { dd if=/dev/zero of="$t" bs=1024 count=4096; } 2>&1 ) || say unwritable "$(printf %s "$said" | head -n 1)"
  rm -f -- "$t"
else
  say unwritable "it is a file"
fi
say df "$(df -Pk -- "$d" | tail -n 1)"
nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader 2>/dev/null | while read -r card; do say gpu "$card"; done
:
"""


def look(far):
    """Return rows [what, FINE | WARNING | FAILURE, what was found] of the far side. Writes 4 MB there and removes them."""
    status, output, stderr = far_sh(far, SCRIPT.replace("FOLDER", far_path(far.host)), timeout_s=WAIT_S)
    found = {}
    for line in output.decode("utf-8", "replace").split("\n"):
        key, tab, value = line.partition("\t")
        if tab:
            found.setdefault(key, []).append(value)
    install = ("" if far.host.user == "root" else "sudo ") + "apt-get install -y"
    return [_python(found, far.host.setup, install), _rsync(found, install), _tmux(found, install), _checksum(found, install),
            _folder(found, far.host), _space(found, far.host), _card(found, far.host.setup)]


def _python(found, setup, install):
    versions = {name: tuple(map(int, value[0].split("."))) for name, value in found.items() if name.startswith("python3")}
    shown = ", ".join(f"{name} is {'.'.join(map(str, version))}" for name, version in versions.items()) or "no python3"
    conda = next((name for name in ("conda", "mamba", "micromamba") if name in found.get("has", ())), None)
    if "python3" in versions and any(PYTHONS[0] <= version <= PYTHONS[1] for version in versions.values()):
        return ["python3", FINE, shown]
    if setup == "auto" and conda and versions.get("python3", (0,)) >= LEAST_WITH_CONDA:
        return ["python3", FINE, f"{shown}; {conda} brings the one that is needed"]
    return ["python3", FAILURE, f"{shown}; 3.10 to 3.13 is needed. Try: {install} python3 python3-venv"]


def _rsync(found, install):
    if "rsync" in found.get("has", ()):
        return ["rsync", FINE, "there"]
    if "tar" in found.get("has", ()):
        return ["rsync", WARNING, f"not there: files go through tar, which does not resume. Try: {install} rsync"]
    return ["rsync", FAILURE, f"neither rsync nor tar: no file can be moved. Try: {install} rsync"]


def _tmux(found, install):
    if "tmux" in found.get("has", ()):
        return ["tmux", FINE, "there"]
    return ["tmux", WARNING, f"not there: remote_run.py needs it. Try: {install} tmux"]


def _checksum(found, install):
    name = next((name for name in ("sha256sum", "shasum") if name in found.get("has", ())), "python3" if "python3" in found else None)
    if name is None:
        return ["sha256", FAILURE, f"no sha256sum, shasum or python3 to verify files with. Try: {install} coreutils"]
    return ["sha256", FINE, name]


def _folder(found, host):
    parent = found.get("parent", ["?"])[0]
    if "unwritable" in found:
        return ["folder", FAILURE, f"{parent} cannot be written: {found['unwritable'][0]}. Try: another \"folder\" in configs/hosts.yaml"]
    if host.provider == "runpod" and not f"{host.folder}/".startswith("/workspace/"):
        return ["folder", WARNING, f"{host.folder} is lost when the pod is stopped; only /workspace is kept"]
    return ["folder", FINE, f"{host.folder} can be written" if parent == host.folder else f"{host.folder} can be made"]


def _space(found, host):
    """The test of check_storage.py, without counting what lies on the volume: that can take minutes, and setup_remote.sh does it."""
    line = re.search(r"(\S+)\s+\d+\s+\d+\s+(\d+)\s+\S+\s+/", found.get("df", [""])[0])
    if not line:
        return ["space", WARNING, "df does not say"]
    free_bytes = int(line[2]) * 1024
    if host.volume_gb:
        free_bytes = min(free_bytes, int(host.volume_gb * GB))
        return ["space", judge(free_bytes), f"{free_bytes / GB:,.1f} GB at most, by volume_gb and df"]
    if line[1].startswith(SHARED_DEVICES):
        return ["space", WARNING, "a network volume, which reports its whole cluster. Try: \"volume_gb\" in configs/hosts.yaml"]
    return ["space", judge(free_bytes), f"{free_bytes / GB:,.1f} GB free"]


def _card(found, setup):
    cards = found.get("gpu", [])
    if cards:
        return ["GPU", FINE, "; ".join(cards)]
    if setup == "cpu":
        return ["GPU", FINE, "none, and none is needed (setup: cpu)"]
    return ["GPU", WARNING, 'no NVIDIA driver answers. Try: "setup: cpu" in configs/hosts.yaml if there is no card']
