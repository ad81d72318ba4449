"""download_model.py against a hub on loopback that misbehaves: what is refused, what is mended, what stays, what is removed."""
import json
import os
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from hub_server import COMMIT, FILES, GOOD_TOKEN, REPO, SHARDED, STALL_S, Hub, hub, weights
from in_process import run_here
from limits import leave_room, small_disk
from loopback import wait_for
from paths import SCRIPTS_DIR
from weatherman.cli import UserError
from weatherman.models import download, model_files

NAME = REPO.replace("/", "--")
KEPT = {"LICENSE", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}


@pytest.fixture(autouse=True)
def base(tmp_path, monkeypatch):
    """A base folder; nothing but loopback can be reached, and no token or cache of this machine is seen."""
    for name in ("HF_TOKEN", "HF_ENDPOINT", "HF_HUB_CACHE", "VOLUME_QUOTA_GB"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WEATHERMAN_BASE_DIR", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "home" / "hub"))  # read when it was imported
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "home" / "token"))
    return tmp_path


def settings(*addresses, **changes):
    return SimpleNamespace(**{"mirrors": list(addresses), "tries": 2, "wait_s": 0.0, "connections": 2, "stall_s": 0.4,
                              "min_bytes_per_s": 1000, **changes})


def get(base, *addresses, entry=None, **changes):
    """Download into models/org--tiny from mirrors."""
    target = base / "models" / NAME
    fetched = download.download(NAME, entry or download.HubModel(REPO), target, settings(*addresses, **changes))
    return target, fetched


def command(base, server, *arguments):
    """Run download_model.py against `server` as HF_ENDPOINT."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", server.address)
        return run_here("download_model.py", base, *arguments)


def got(server, name):
    """Return [(Authorization, Range)] of the GETs of a file, the CDN's included."""
    return [entry[2:] for one in (server, server.cdn) for entry in one.log if entry[0] == "GET" and entry[1].endswith(name)
            if one is server.cdn or not name.endswith(".safetensors")]


# --- what comes ---------------------------------------------------------------------------------------------------------

def test_a_model_is_fetched_checked_recorded_and_then_skipped(base):
    with hub() as server:
        done = command(base, server, REPO, "--json")
        assert done.returncode == 0, done.stderr
        target = base / "models" / NAME
        manifest = json.loads((target / "download.manifest.json").read_text())
        assert {path.name for path in target.iterdir()} == KEPT | {"download.manifest.json"}  # no pickle, no code, no second form
        assert all((target / name).read_bytes() == FILES[name] for name in KEPT)
        assert manifest["revision"] == COMMIT and manifest["repo"] == REPO and set(manifest["files"]) == KEPT
        assert json.loads(done.stdout)["fetched_bytes"] == sum(len(FILES[name]) for name in KEPT)
        asked = len(server.log)
        again = command(base, server, REPO)
        assert again.returncode == 0 and "is here, and finished" in again.stderr
        assert not any(REPO in path for _, path, *_ in server.log[asked:])


def test_the_tokenizer_alone_is_enough_for_the_mac(base):
    with hub() as server:
        done = command(base, server, REPO, "--tokenizer", "--json")
        assert done.returncode == 0, done.stderr
        here = {path.name for path in (base / "models" / NAME).iterdir()}
        assert "tokenizer.json" in here and here < KEPT and not any(name.endswith(".safetensors") or name == "config.json" for name in here)
        assert json.loads(done.stdout)["fetched_bytes"] == sum(len(FILES[name]) for name in here)
        asked = len(server.log)
        assert command(base, server, REPO, "--tokenizer").returncode == 0 and len(server.log) == asked
        assert command(base, server, REPO).returncode == 0 and {path.name for path in (base / "models" / NAME).iterdir()} > KEPT
    assert "comes with its package" in command(base, server, "smollm2-135m", "--tokenizer").stderr


def test_the_token_does_not_go_to_the_cdn_and_is_never_shown(base, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", GOOD_TOKEN)
    with hub(gate="licence") as server:
        for one in (server, server.cdn):
            one.accepted.add(GOOD_TOKEN)
        done = command(base, server, REPO)
        assert done.returncode == 0 and "token: HF_TOKEN" in done.stderr and GOOD_TOKEN not in done.stdout + done.stderr
        assert {token for _, path, token, _ in server.log if REPO in path} == {f"Bearer {GOOD_TOKEN}"}
        assert server.cdn.log and {token for *_, token, _ in server.cdn.log} == {None}


@pytest.mark.parametrize("fault", [Hub.cut, Hub.stall, Hub.drip])
def test_a_lost_silent_or_dripping_connection_is_taken_up_where_it_ended(base, fault):
    files = {**FILES, "model.safetensors": weights("a", size=200_000)}
    with hub(files=files, faults={"model.safetensors": [fault]}) as server:
        began = time.monotonic()
        target, fetched = get(base, server.address)
        assert time.monotonic() - began < STALL_S - 1  # it was given up, not waited for
        assert fetched == sum(len(files[name]) for name in KEPT)  # no byte came twice
        first, second = got(server, "model.safetensors")
        assert first[1] is None and int(second[1].removeprefix("bytes=").rstrip("-")) > 0
    assert (target / "model.safetensors").read_bytes() == files["model.safetensors"]


def test_a_download_that_was_given_up_goes_on_from_its_bytes(base):
    with hub(faults={"model.safetensors": [Hub.cut, Hub.cut]}) as server:
        with pytest.raises(UserError, match="model.safetensors: .*peer closed connection"):
            get(base, server.address, tries=2)
        (part,) = (base / "models" / NAME).glob("model*.part")
        have = part.stat().st_size
        assert have == len(FILES["model.safetensors"]) * 3 // 4 and not (base / "models" / NAME / "config.json").exists()
        get(base, server.address)
        assert got(server, "model.safetensors")[-1][1] == f"bytes={have}-" and not part.exists()


def test_a_server_without_ranges_sends_all_again(base):
    with hub(faults={"model.safetensors": [Hub.cut, Hub.no_ranges]}) as server:
        target, _ = get(base, server.address)
    assert (target / "model.safetensors").read_bytes() == FILES["model.safetensors"]


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])  # sha256 of large files, git's sha1 of small ones
def test_a_flipped_byte_is_found_and_fetched_again_and_then_refused(base, name):
    with hub(faults={name: [Hub.flip]}) as server:
        target, _ = get(base, server.address)
        assert (target / name).read_bytes() == FILES[name]
    with hub(files={**FILES, name: FILES[name] + b" "}, faults={name: [Hub.flip] * 2}) as server:
        with pytest.raises(UserError, match=f"{name}: its bytes are not those that {server.address} lists, twice over"):
            get(base, server.address)
    assert (target / name).read_bytes() == FILES[name]  # what was good is not replaced by what is not


def test_when_one_file_cannot_be_had_the_others_are_not_waited_for(base):
    one, other = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
    with hub(files=SHARDED, faults={one: [Hub.flip] * 2, other: [Hub.drip]}) as server:
        began = time.monotonic()
        with pytest.raises(UserError, match=f"{one}: its bytes are not"):
            get(base, server.address, stall_s=2 * STALL_S)
        assert time.monotonic() - began < STALL_S - 1
        assert list((base / "models" / NAME).glob(f"{other}.*.part"))  # and what came of it is kept


def test_a_busy_hub_is_asked_again(base):
    with hub(503, 0, 429) as server:
        get(base, server.address)
        assert [path for _, path, *_ in server.log if "/tree/" in path]
    with hub(*[503] * 99) as server:
        with pytest.raises(UserError, match="status 503"):
            get(base, server.address)


def test_only_the_broken_file_is_fetched_again(base):
    with hub(files=SHARDED) as server:
        target, _ = get(base, server.address)
        broken = target / "model-00002-of-00002.safetensors"
        broken.write_bytes(b"x" + broken.read_bytes()[1:])  # the same size: only its bytes tell
        model_files.mark_broken(target, [broken.name])
        assert model_files.finished(target, REPO, COMMIT) is None
        done = command(base, server, REPO, "--json")
        assert done.returncode == 0 and json.loads(done.stdout)["fetched_bytes"] == len(SHARDED[broken.name])
    assert broken.read_bytes() == SHARDED[broken.name] and model_files.finished(target, REPO, COMMIT)


# --- what is refused, before a byte of weights ---------------------------------------------------------------------------

@pytest.mark.parametrize("gate,token,said,hint", [
    ("licence", None, "401: its licence must be accepted, and no token is set", f"https://huggingface.co/{REPO} to accept it, then"),
    ("licence", GOOD_TOKEN, "403: the token (HF_TOKEN) is good, but its account may not read", f"https://huggingface.co/{REPO} to accept"),
    ("licence", "hf_old", "401: the token (HF_TOKEN) is not valid", "https://huggingface.co/settings/tokens as HF_TOKEN=… in .env"),
    (None, "hf_old", "401: the token (HF_TOKEN) is not valid", "settings/tokens"),
])
def test_no_token_a_bad_one_and_a_licence_not_accepted_are_told_apart(base, monkeypatch, gate, token, said, hint):
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with hub(gate=gate) as server:
        done = command(base, server, REPO)
        assert done.returncode == 1 and said in done.stderr and hint in done.stderr, done.stderr
        assert token is None or token not in done.stderr
        assert ("awaiting a review" in done.stderr) == (token == GOOD_TOKEN)
        assert [entry[0] for entry in server.log if REPO in entry[1]] == ["HEAD"] and not server.cdn.log
    assert not (base / "models" / NAME).exists()


@pytest.mark.parametrize("entry,given,message", [
    (download.HubModel("org/tinny"), {}, "no repository is called org/tinny"),
    (download.HubModel(REPO, "f" * 40), {}, f"{REPO} has no revision ffff"),
    (download.HubModel(REPO), {"gate": "private"}, "wants a token, and a mirror is not sent ours"),
    (download.HubModel(REPO), {"files": {"tokenizer.json": b"{}"}}, "holds no config.json"),
    (download.HubModel(REPO), {"files": {name: FILES[name] for name in ("config.json", "tokenizer.json", "pytorch_model.bin")}},
     r"pickled weights only \(pytorch_model.bin\): loading them runs whatever code"),
    (download.HubModel(REPO), {"files": {name: data for name, data in SHARDED.items() if "00002-of" not in name or "index" in name}},
     "not whole: no model-00002-of-00002.safetensors"),
    (download.HubModel(REPO), {"commit": None}, "does not answer as a hub"),
])
def test_what_cannot_be_had_is_said(base, entry, given, message):
    with hub(**given) as server, pytest.raises(UserError, match=message):
        get(base, server.address, entry=entry)
    assert not (base / "models" / NAME / "download.manifest.json").exists()


def test_another_commit_than_the_pinned_one_is_refused(base):
    with hub(commit="a" * 40) as server, pytest.raises(UserError, match="has no revision"):
        get(base, server.address, entry=download.HubModel(REPO, COMMIT))


def test_an_address_nobody_answers_at_and_offline(base, monkeypatch):
    with pytest.raises(UserError, match="ConnectError"):
        get(base, "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="HF_HUB_OFFLINE is set") as error:
        get(base, "http://127.0.0.1:9")
    assert error.value.hint.startswith("unset HF_HUB_OFFLINE")


def test_space_is_asked_for_first_and_what_has_arrived_is_counted(base, monkeypatch):
    files = {**FILES, "model.safetensors": weights("a", size=30_000_000)}
    monkeypatch.setenv("VOLUME_QUOTA_GB", "0.02")
    with hub(files=files, faults={"model.safetensors": [Hub.cut] * 2}) as server:
        with small_disk(base / "models"):
            with pytest.raises(UserError, match="0.03 GB are to come. 0.0 GB free.*quota of 0.02 GB"):
                get(base, server.address)
            assert not server.cdn.log
            monkeypatch.setenv("VOLUME_QUOTA_GB", "0.04")
            with pytest.raises(UserError, match="peer closed connection"):
                get(base, server.address, tries=1)  # 15 MB are here: 15 of 25 MB left are enough for the rest
            get(base, server.address)
    with pytest.raises(UserError, match="VOLUME_QUOTA_GB: could not convert"):
        monkeypatch.setenv("VOLUME_QUOTA_GB", "much")
        with hub() as server:
            get(base, server.address, entry=download.HubModel(REPO, COMMIT))


def test_a_disk_that_fills_up_meanwhile_keeps_what_came(base):
    files = {**FILES, "model.safetensors": weights("a", size=12_000_000)}
    with small_disk(base / "models") as remount:
        def fill(handler, data):
            leave_room(base / "models", remount, 6_000_000)
            handler.whole(data)

        with hub(files=files, faults={"model.safetensors": [fill]}) as server:
            with pytest.raises(OSError) as error:
                get(base, server.address)
            assert error.value.errno == 28 and error.value.filename.endswith(".part")
            remount("size=64m")
            _, fetched = get(base, server.address)
            assert fetched < 8_000_000


# --- mirrors ------------------------------------------------------------------------------------------------------------

def test_a_mirror_is_held_to_the_checksums_of_the_hub_where_that_answers(base, monkeypatch, capsys):
    altered = {**FILES, "model.safetensors": FILES["model.safetensors"][:-1] + b"\0"}
    with hub(faults={"model.safetensors": [Hub.cut] * 9}) as own, hub(files=altered) as mirror:
        own.cdn.faults["model.safetensors"] = [lambda handler, data: None] * 9  # lists all, sends nothing
        monkeypatch.setenv("HF_ENDPOINT", own.address)
        with pytest.raises(UserError, match=f"bytes are not those that {own.address} lists"):
            get(base, mirror.address)
        assert {token for *_, token, _ in mirror.log} == {None}
    monkeypatch.delenv("HF_ENDPOINT")
    with hub(files=altered) as mirror:
        target, _ = get(base, mirror.address)
        assert "the checksums are those that" in capsys.readouterr().err  # alone, it is believed, and that is said
    assert model_files.read_manifest(target)["checksums_from"] == mirror.address


# --- names, two at once, what is on the disk -----------------------------------------------------------------------------

def test_names_are_resolved_or_refused(base):
    assert download.find("Qwen/Qwen2.5-32B")[0] == "qwen2.5-32b"
    assert download.find("Qwen/Qwen2.5-32B", "main") == ("Qwen--Qwen2.5-32B", download.HubModel("Qwen/Qwen2.5-32B", "main"))
    with pytest.raises(UserError, match="models.yaml pins its revision"):
        download.find("qwen2.5-32b", "main")
    with hub() as server:
        for arguments, status, message in (["gpt"], 2, 'no model "gpt"'), (["../x/y"], 1, "no hub id"), ([], 2, "one of NAME"), (
                [REPO, "--yes"], 2, "--yes goes with --prune"):
            done = command(base, server, *arguments)
            assert done.returncode == status and message in done.stderr


def test_two_downloads_of_one_model(base):
    entered = threading.Event()

    def wait_there(handler, data):
        entered.set()
        handler.server.stopped.wait(30)
        handler.whole(data)

    with hub(faults={"model.safetensors": [wait_there]}) as server:
        first = threading.Thread(target=lambda: get(base, server.address, stall_s=60))
        first.start()
        assert entered.wait(30)
        with pytest.raises(UserError, match="another process is working on this model"):
            get(base, server.address)
        done = command(base, server, "--prune", "--yes")
        assert done.returncode == 1 and "another process" in done.stderr
        server.cdn.stopped.set()
        first.join()
    assert model_files.finished(base / "models" / NAME, REPO, COMMIT)


def test_what_is_on_the_disk_is_shown_and_only_what_nobody_needs_is_removed(base):
    models, cache = base / "models", base / "home" / "hub"
    with hub() as server:
        get(base, server.address)
        whole = models / NAME
        (whole / "old.safetensors.0123.part").write_bytes(b"1234")
        half, tokenizer, elsewhere = models / "half", models / "tokenizer", base / "elsewhere"
        for folder, names in (half, ["tokenizer.json", "model.safetensors"]), (tokenizer, ["tokenizer.json"]), (elsewhere, ["x.part"]):
            folder.mkdir()
            for name in names:
                (folder / name).write_text("{}")
        (models / "link").symlink_to(elsewhere)
        (half / "inner").symlink_to(elsewhere)
        for repo, commit in ("Qwen--Qwen2.5-32B", "1818d35814b8319459f4bd55ed1ac8709630f003"), ("org--other", "b" * 40):
            snapshot = cache / f"models--{repo}" / "snapshots" / commit
            snapshot.mkdir(parents=True)
            (snapshot / "config.json").write_text("{}")
        (cache / "models--org--other" / "blobs").mkdir()
        (cache / "models--org--other" / "blobs" / "x.incomplete").write_text("1")

        shown = {one["name"]: one["state"] for one in json.loads(command(base, server, "--cache-info", "--json").stdout)["models"]}
        assert shown == {NAME: "whole", "half": "not whole", "tokenizer": "tokenizer only", "link": "link", "Qwen/Qwen2.5-32B": "hub cache",
                         "org/other": "hub cache"}
        before = sorted(os.walk(base))
        preview = command(base, server, "--prune")
        assert "Nothing was removed" in preview.stderr and sorted(os.walk(base)) == before
        for text in ("old.safetensors.0123.part", "models/half", "org/other: not a revision of the registry", "x.incomplete"):
            assert text in preview.stdout
        assert "32B" not in preview.stdout and "elsewhere" not in preview.stdout and preview.stdout.count("\n") == 7
        assert "removed" in command(base, server, "--prune", "--yes").stdout
        assert "Nothing to remove" in command(base, server, "--prune").stdout
    assert model_files.finished(whole, REPO, COMMIT) and (elsewhere / "x.part").exists() and (models / "link").is_symlink()
    assert tokenizer.exists() and not half.exists() and (cache / "models--Qwen--Qwen2.5-32B").exists()
    assert not (cache / "models--org--other").exists()


@pytest.mark.machine
def test_a_process_that_is_stopped_says_so_and_the_next_goes_on(base, monkeypatch):
    """The script itself: SIGTERM in the middle of a file, then the same command."""
    files, parts = {**FILES, "model.safetensors": weights("a", size=3_000_000)}, base / "models" / NAME
    with hub(files=files, faults={"model.safetensors": [Hub.stall]}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        start = [sys.executable, str(SCRIPTS_DIR / "download_model.py"), REPO]
        with subprocess.Popen(start, stderr=subprocess.PIPE, text=True) as process:
            wait_for(lambda: sum(part.stat().st_size for part in parts.glob("model*.part")) >= len(files["model.safetensors"]) // 2)
            process.send_signal(signal.SIGTERM)
            server.cdn.stopped.set()  # the silent connection ends
            assert process.wait(20) == 75 and "it continues from there" in process.stderr.read()
        assert subprocess.run(start, capture_output=True).returncode == 0
        assert model_files.finished(parts, REPO, COMMIT)
        assert got(server, "model.safetensors")[-1][1] == f"bytes={len(files['model.safetensors']) // 2}-"
