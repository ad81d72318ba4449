"""Read the requirements locks and compare them with what is installed in the running environment."""
import re
from importlib import metadata

from weatherman.cli import UserError

PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)(?:\s*;\s*(?P<marker>[^\\#]+))?")


def canonical(name):
    """Return a package name as indexes compare them (PEP 503): Foo.Bar_baz -> foo-bar-baz."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_lock(path):
    """Return {canonical name: (version, marker text or None)} of a requirements lock. Raises UserError where there is none."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no such lock.", "git checkout -- 'requirements-*.txt', or make lock") from None
    pins = {}
    for line in text.split("\n"):
        if found := PIN.match(line):
            marker = found["marker"]
            pins[canonical(found["name"])] = (found["version"], marker.strip() if marker else None)
    if not pins:
        raise UserError(f"{path}: holds no pinned package.", "make lock")
    return pins


def wanted_here(pins):
    """Return {name: version} of the pins whose marker holds for this Python on this machine."""
    from packaging.markers import Marker
    return {name: version for name, (version, marker) in pins.items() if marker is None or Marker(marker).evaluate()}


def installed():
    """Return {canonical name: version} of every package this Python would import."""
    found = {}
    for package in metadata.distributions():
        name = package.metadata["Name"]
        if name:  # a killed uninstall leaves a folder without a name
            found.setdefault(canonical(name), package.version)  # the first on sys.path is the one imported
    return found


def mismatches(wanted, found, unwanted=()):
    """Return [(name, "expected", "found")] for each package missing or of another version, and each unwanted one installed.

    A local build tag (2.13.0+cpu) counts as the same version.
    """
    rows = []
    for name, version in sorted(wanted.items()):
        actual = found.get(name)
        if actual is None:
            rows.append((name, version, "missing"))
        elif actual.partition("+")[0] != version.partition("+")[0]:
            rows.append((name, version, actual))
    rows += [(name, "not installed", found[name]) for name in unwanted if name in found]
    return rows
