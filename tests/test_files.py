import errno
import fcntl
import json
import multiprocessing
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limits import small_disk
from weatherman.cli import UserError, describe_os_error
from weatherman.files import MAX_LINE_BYTES, atomic_write, atomic_writes, read_jsonl, read_lines, to_json_line, write_json

texts = st.text(st.characters(exclude_categories=["Cs"]))  # lone surrogates are no UTF-8
json_values = st.recursive(st.none() | st.booleans() | st.integers(-2**53, 2**53) | texts,
                           lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12)


@given(rows=st.lists(st.dictionaries(texts, json_values, max_size=4), min_size=1, max_size=6),
       bom=st.booleans(), crlf=st.booleans(), last_line_end=st.booleans())
def test_what_was_written_is_read(tmp_path_factory, rows, bom, crlf, last_line_end):
    r"""Line separators other than \n inside texts (U+2028, \x85, \r) must not split a row."""
    path = tmp_path_factory.mktemp("jsonl") / "x.jsonl"
    data = b"".join(map(to_json_line, rows))
    data = data.replace(b"\n", b"\r\n") if crlf else data
    data = data if last_line_end else data.rstrip(b"\r\n")
    path.write_bytes(b"\xef\xbb\xbf" * bom + data)
    assert list(read_jsonl(path)) == list(enumerate(rows, 1))


def test_every_kind_of_bad_line_is_handed_over(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"a": 1}\n[1]\n\n{"a": "\xff"}\n{"a"\n{"b": "' + b"y" * 50_000_000 + b'"}\n{"a": 2}')
    bad = []
    rows = list(read_jsonl(path, on_bad=lambda number, reason, excerpt: bad.append((number, reason))))
    assert rows == [(1, {"a": 1}), (7, {"a": 2})]
    assert bad == [(2, "not_an_object"), (4, "invalid_utf8"), (5, "invalid_json"), (6, "line_too_long")]


def test_bad_line_without_a_taker_names_file_and_line(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a"')
    with pytest.raises(UserError, match=r"x.jsonl:2: invalid json"):
        list(read_jsonl(path))


def test_empty_file_is_an_error(tmp_path):
    (tmp_path / "x.jsonl").write_bytes(b"")
    with pytest.raises(UserError, match="the file is empty"):
        list(read_jsonl(tmp_path / "x.jsonl"))


def test_longest_allowed_line_passes(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"y" * MAX_LINE_BYTES + b"\n" + b"z" * (MAX_LINE_BYTES + 1) + b"\nend")
    assert [(n, line and len(line)) for n, line in read_lines(path)] == [(1, MAX_LINE_BYTES), (2, None), (3, 3)]


def test_output_is_whole_or_untouched(tmp_path):
    path = tmp_path / "deep" / "x.txt"
    with atomic_write(path) as handle:
        handle.write(b"first")
    with pytest.raises(RuntimeError), atomic_write(path) as handle:
        handle.write(b"second, longer")
        raise RuntimeError("bug")
    assert path.read_bytes() == b"first"
    assert [p.name for p in path.parent.iterdir()] == ["x.txt"]


def _hold(path, entered, leave):
    with atomic_write(path) as handle:
        handle.write(b"mine")
        entered.set()
        leave.wait(20)


def test_two_writers_do_not_mix(tmp_path):
    context = multiprocessing.get_context("spawn")
    entered, leave = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(tmp_path / "x.txt", entered, leave))
    other.start()
    assert entered.wait(20)
    with pytest.raises(UserError, match="another run is writing"), atomic_write(tmp_path / "x.txt"):
        pass
    leave.set()
    other.join(20)
    assert (tmp_path / "x.txt").read_bytes() == b"mine"


def test_full_disk_names_the_file_and_leaves_the_old_output(tmp_path):
    with small_disk(tmp_path) as remount:
        path = tmp_path / "x.txt"
        path.write_bytes(b"old")
        remount("size=64k")
        with pytest.raises(OSError) as caught, atomic_write(path) as handle:
            handle.write(b"y" * 200_000)
        assert caught.value.errno == errno.ENOSPC and "x.txt" in describe_os_error(caught.value)[0]
        assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["x.txt"]


def test_of_several_outputs_all_change_or_none(tmp_path):
    paths = [tmp_path / "a", tmp_path / "b"]
    with atomic_writes(paths) as handles:
        handles[0].write(b"old a")
        handles[1].write(b"old b")
    with pytest.raises(OSError) as caught, atomic_writes(paths) as handles:
        handles[0].write(b"new a")
        handles[1].write(b"new b")
        os.close(handles[1].fileno())  # so that its flush fails, after that of the first
    assert caught.value.filename == str(paths[1])
    assert [path.read_bytes() for path in paths] == [b"old a", b"old b"] and sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_a_folder_in_the_place_of_an_output_is_named_before_any_work(tmp_path):
    with pytest.raises(IsADirectoryError) as caught, atomic_write(tmp_path):
        pytest.fail("the block was entered")
    assert caught.value.filename == str(tmp_path) and not list(tmp_path.parent.glob("*.part"))


def test_an_output_that_another_run_just_finished_is_not_emptied(tmp_path, monkeypatch):
    """The other run renames its part file between our open and our lock: the lock we get is on its finished output."""
    path = tmp_path / "x.txt"
    (tmp_path / "x.txt.part").write_bytes(b"finished")
    lock = fcntl.flock

    def late(handle, flags):
        os.rename(tmp_path / "x.txt.part", path)
        lock(handle, flags)

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(UserError, match="another run is writing"), atomic_write(path):
        pass
    assert path.read_bytes() == b"finished"


def test_json_keys_keep_their_order(tmp_path):
    write_json(tmp_path / "x.json", {"b": 1, "a": [2]})
    assert list(json.loads((tmp_path / "x.json").read_text())) == ["b", "a"]
