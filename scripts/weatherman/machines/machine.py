"""What the scripts need of the machine beside Python packages. Each check returns (outcome, what was found)."""
import os
import re
import shutil
import stat
import subprocess
import sys

from paths import REPO_DIR
from weatherman.machines.storage import FAILURE, FINE, WARNING

PYTHONS = ((3, 10), (3, 13))  # oldest and newest that an environment is made for
LEAST_BASH = (3, 2)  # macOS ships this one
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
