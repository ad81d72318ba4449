"""A body in any number of pieces is the same body, packed or not, and one that was cut or damaged is not taken for whole."""
import gzip
import io
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from urllib3 import HTTPResponse

from misbehaving import CHANGED
from weatherman.corpus.transfer import Broken, Download, Unusable, strong_validator

TEXT = b"".join(b"Line %d of a text that packs well.\n" % n for n in range(300))
PACKED = {"identity": TEXT, "gzip": gzip.compress(TEXT, mtime=0), "x-gzip": gzip.compress(TEXT, mtime=0), "deflate": zlib.compress(TEXT)}
RANGES = {"Accept-Ranges": "bytes", "ETag": '"one"'}


def response(data):
    return HTTPResponse(body=io.BytesIO(data), headers={"Content-Length": str(len(data))}, preload_content=False)


def take(download, data):
    """Read `data`; packed data that stops in the middle is what a broken connection leaves."""
    try:
        download.read(response(data))
    except Broken as error:
        assert "stops in the middle" in str(error)


@given(st.sampled_from(sorted(PACKED)), st.data())
def test_pieces_make_the_whole(encoding, draw):
    raw = PACKED[encoding]
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(raw)), max_size=5)))
    download = Download(len(TEXT))
    download.begin({**RANGES, "Content-Encoding": encoding})
    for start, end in zip([0, *cuts], [*cuts, len(raw)]):
        if start:
            assert download.range_headers() == {"Range": f"bytes={start}-", "If-Range": '"one"'}
            assert download.continues({"Content-Range": f"bytes {start}-{len(raw) - 1}/{len(raw)}", "Content-Encoding": encoding})
        take(download, raw[start:end])
    assert download.data == TEXT and download.received == len(raw) and download.is_unpacked() is (encoding != "identity")


@given(st.sampled_from(["gzip", "deflate"]), st.integers(0, len(PACKED["deflate"]) - 1))
def test_packed_data_that_stops_early_is_not_whole(encoding, end):
    download = Download(len(TEXT))
    download.begin({"Content-Encoding": encoding})
    take(download, PACKED[encoding][:end])
    assert not download.is_unpacked()


@given(st.sampled_from(sorted(PACKED)), st.integers(0, len(TEXT) - 1))
def test_the_limit_counts_unpacked_bytes(encoding, limit):
    download = Download(limit)
    download.begin({"Content-Encoding": encoding})
    with pytest.raises(Unusable, match="more than"):
        download.read(response(PACKED[encoding]))
    assert len(download.data) <= max(limit + 1, len(TEXT) if encoding == "identity" else 0)


def test_damaged_packing_starts_over():
    download = Download(len(TEXT))
    download.begin({**RANGES, "Content-Encoding": "gzip"})
    with pytest.raises(Broken, match="cannot be unpacked"):
        download.read(response(PACKED["gzip"][:20] + b"\xff" * 50))
    assert download.range_headers() == {}


@pytest.mark.parametrize("value", ["bytes 40-99/100", "bytes 50-98/100", "bytes 50-99/*", "bytes */100", "50-99/100", "bytes 50-99/100x",
                                   ""])
def test_another_range_than_the_rest_is_not_taken(value):
    download = Download(1000)
    download.begin(RANGES)
    download.read(response(b"x" * 50))
    assert not download.continues({"Content-Range": value})
    assert download.continues({"Content-Range": "bytes 50-99/100"})
    assert not download.continues({"Content-Range": "bytes 50-99/100", "Content-Encoding": "gzip"})


@pytest.mark.parametrize("headers, validator", [
    (RANGES, '"one"'), ({**RANGES, "ETag": 'W/"one"'}, None), ({"ETag": '"one"'}, None), ({**RANGES, "Accept-Ranges": "none"}, None),
    ({"Accept-Ranges": "bytes", "Last-Modified": CHANGED, "Date": "Sun, 09 Sep 2001 01:47:40 GMT"}, CHANGED),
    ({"Accept-Ranges": "bytes", "Last-Modified": CHANGED, "Date": "Sun, 09 Sep 2001 01:46:50 GMT"}, None),
    ({"Accept-Ranges": "bytes", "Last-Modified": CHANGED}, None),
    ({"Accept-Ranges": "bytes", "Last-Modified": "soon", "Date": "now"}, None)])
def test_strong_validators(headers, validator):
    assert strong_validator(headers) == validator
