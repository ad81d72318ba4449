"""What the scripts need of the machine beside Python packages. Each check returns (outcome, what was found)."""
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

from paths import REPO_DIR
from weatherman.machines.hosts import Host
from weatherman.machines.ssh import ssh_config
from weatherman.machines.storage import FAILURE, FINE, WARNING

LEAST_BASH = (3, 2)  # macOS ships this one
RSYNC_FLAGS = ("-Ipt", "-0", "--files-from=names", "--no-implied-dirs")  # those of weatherman/machines/sync.py
INSTALL = "brew install {0}" if sys.platform == "darwin" else "sudo apt-get install {0}"


def output_of(*command, cwd=None):
    """Return (exit status, stdout and stderr together) of a command that ends by itself."""
    done = subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace")
    return done.returncode, done.stdout.strip()


def bash():
    if not shutil.which("bash"):
        return FAILURE, "not found; every .sh needs it"
    version = output_of("bash", "-c", "echo $BASH_VERSION")[1]
    numbers = tuple(map(int, re.findall(r"\d+", version)[:2]))
    return (FINE if numbers >= LEAST_BASH else FAILURE), f"{version}; 3.2 or later is needed"


def rsync():
    """Copy one of two files with the flags of the sync scripts: versions say little, since macOS has its own rsync."""
    if not shutil.which("rsync"):
        return WARNING, f"not found: the sync scripts will not run. Try: {INSTALL.format('rsync')}"
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "source"), Path(folder, "target")
        source.mkdir()
        (source / "wanted").write_bytes(b"rain\n")
        (source / "other").write_bytes(b"sun\n")
        Path(folder, "names").write_bytes(b"./wanted\0")
        status, said = output_of("rsync", *RSYNC_FLAGS, f"{source}/", f"{target}/", cwd=folder)
        arrived = sorted(path.name for path in target.glob("*"))
    if status or arrived != ["wanted"]:
        return WARNING, f"does not copy as the sync scripts need it (status {status}): {said[-200:]}. Try: {INSTALL.format('rsync')}"
    return FINE, output_of("rsync", "--version")[1].split("\n")[0]


def ssh():
    """Have ssh read a configuration such as the sync scripts write, for a host that need not exist."""
    if not shutil.which("ssh"):
        return WARNING, f"not found: the sync scripts will not run. Try: {INSTALL.format('openssh-client')}"
    with tempfile.TemporaryDirectory() as folder:
        config, host = Path(folder, "config"), Host("gpu", "other", "gpu.example.org", 22, "root", Path(folder, "key"), "weatherman", "gpu")
        config.write_text(ssh_config(host), encoding="utf-8")
        status, said = output_of("ssh", "-G", "-F", str(config), "gpu")
    if status:
        return WARNING, f"does not take the options of the sync scripts: {said[-200:]}. Try: {INSTALL.format('openssh-client')}"
    return FINE, output_of("ssh", "-V")[1]


def module_path():
    """Python puts scripts/ first on its path unless PYTHONSAFEPATH, -P or -I says otherwise (3.11 and later)."""
    if getattr(sys.flags, "safe_path", False):
        why = "PYTHONSAFEPATH is set" if os.environ.get("PYTHONSAFEPATH") else "Python was started with -P or -I"
        return FAILURE, f"{why}: no script finds its modules. Try: unset PYTHONSAFEPATH"
    return FINE, "scripts/ comes first on Python's path"


def env_file(path=REPO_DIR / ".env"):
    """.env holds secrets: only its owner may read it."""
    if not path.exists():
        return FINE, "none (optional; .env.example says what it may hold)"
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        return WARNING, f"mode {mode:o}: others can read your secrets. Try: chmod 600 .env"
    return FINE, f"mode {mode:o}"
