"""Whether the rsync and ssh that are installed here do what the sync scripts ask of them. Each check returns (outcome, what was found)."""
import shutil
import tempfile
from pathlib import Path

from weatherman.machines.machine import INSTALL, output_of
from weatherman.machines.storage import FINE, WARNING
from weatherman.remote.hosts import Host
from weatherman.remote.ssh import ssh_config
from weatherman.remote.transfer import RSYNC_OPTIONS


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
        status, said = output_of("rsync", *RSYNC_OPTIONS, f"{source}/", f"{target}/", cwd=folder)
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
