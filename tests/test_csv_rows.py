"""The CSV reader: whatever was written comes back exactly, whatever is broken costs itself alone."""
import csv
import io
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from weatherman.cli import UserError
from weatherman.corpus import csv_rows
from weatherman.corpus.csv_rows import open_table, read_rows


def read(data, folder=None, **options):
    """Return (Table, Rows) of a file with these bytes."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        path = Path(place, "dump.csv")
        path.write_bytes(data)
        table = open_table(path, ("title",), **options)
        return table, list(read_rows(table))


def good(rows):
    return [(row.line, row.value) for row in rows if not row.reason]


def bad(rows):
    return [(row.line, row.reason) for row in rows if row.reason]


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_whatever_csv_writes_is_read_again(data):
    end = data.draw(st.sampled_from(["\n", "\r\n", "\r"]))
    delimiter = data.draw(st.sampled_from(",;\t|"))
    quoting = data.draw(st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC, csv.QUOTE_NONE]))
    # What no reader could tell apart from the writer's own marks is left out.
    taken = {"\r": "\0\n", "\r\n": "\0", "\n": "\0\r"}[end] + (f'"{delimiter}\r\n' if quoting == csv.QUOTE_NONE else "")
    text = st.text(st.characters(blacklist_characters=taken, blacklist_categories=["Cs"]) | st.sampled_from(' a"",;\n').filter(
        lambda c: c not in taken), max_size=30)
    table = data.draw(st.lists(st.tuples(text, text), max_size=8))
    out, lines = io.StringIO(), []
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=quoting)
    for row in [("title", "other"), *table]:
        lines.append(1 + out.getvalue().count(end[-1]))
        writer.writerow(row)
    content = out.getvalue()[:-len(end)] if data.draw(st.booleans()) and table and table[-1][1] else out.getvalue()
    encoding = data.draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
    found, rows = read(content.encode(encoding))
    assert [(row.line, row.value) for row in rows] == [(line, list(row)) for line, row in zip(lines[1:], table)]
    assert found.delimiter == delimiter


@settings(deadline=None, max_examples=300)
@given(st.sampled_from([b"", b"title\n", b"title,n\n"]), st.lists(st.binary(max_size=3) | st.sampled_from(
    [b'"', b",", b"\n", b"\r", b"a", b'""', b'",', b'\n"', b"\0", b"\xff", b"\xc3\xa9", b" ", b"1,2\n", b"\xef\xbb\xbf", b"\xff\xfe"]),
    max_size=60))
@example(b"title,n\n", [b'a,"\n', b'5",,"b\n' * 30])
@example(b"title,n\n", [b'"', b"a\n" * 300])
@example(b"title\n", [b" ", b'\n"a\n\nb"\n'])
@example(b"title,n\n", [b'a,"\n', b'\xff",b\n', b'a,"\n', b'\0"\n'])
def test_any_bytes_are_read_or_refused_and_every_line_is_accounted_for(header, parts):
    content = header + b"".join(parts)
    try:
        table, rows = read(content)
    except UserError:
        return
    if table.encoding != "utf-8":
        return
    covered = [number for row in rows for number in range(row.line, row.line + row.lines)]
    assert covered == sorted(set(covered)) and all(number > table.header_line for number in covered)
    for number, line in enumerate(content.split(table.line_end.encode()), 1):
        assert number in covered or number <= table.header_line or not line.strip(b"\r\n ")
    assert all(row.lines == 1 for row in rows if row.reason) and all(len(row.value) == len(table.names) for row in rows if not row.reason)
    "".join(field for row in rows if not row.reason for field in row.value).replace("\0", "\ud800").encode()  # nothing unreadable


TITLES = st.lists(st.sampled_from(["Area", "River", "Rises, Again", 'the "Fence"', "said\nTwice", "Café", "5\" Snow", "—"]), min_size=1,
                  max_size=4).map(" ".join)
BROKEN = st.sampled_from([b'1,"He said no,samples,x', b'"', b'1,"He" said,samples,x', b"1,2", b"1,2,3,4,5", b"1,a\0b,samples,x",
                          b"1,caf\xe9,samples,x", b"1,%b,samples,x" % (b"x" * csv_rows.MAX_LINE_CHARS), b'1,"one\nNo two,samples,x'])


@settings(deadline=None, max_examples=100)
@given(st.lists(TITLES, max_size=12), BROKEN, st.integers(0, 12), st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]))
def test_a_broken_row_costs_itself_alone(titles, broken, at, quoting):
    written = []
    for number, title in enumerate(titles):
        out = io.StringIO()
        csv.writer(out, lineterminator="\n", quoting=quoting).writerow([number, title, "samples", "x"])
        written.append(out.getvalue().encode())
    at = min(at, len(written))
    _, rows = read(b"n,title,subreddit,x\n" + b"".join([*written[:at], broken + b"\n", *written[at:]]))
    assert [value[1] for _, value in good(rows)] == titles
    first = 2 + sum(row.count(b"\n") for row in written[:at])
    assert [line for line, _ in bad(rows)] == list(range(first, first + 1 + broken.count(b"\n")))


@pytest.mark.parametrize("line, reason", [
    ("a,b,c", "wrong_field_count"), ("a", "wrong_field_count"), ('"a,b', "bad_quotes"), ('"a" b,c', "bad_quotes"),
    ('"a,b",c,d', "wrong_field_count"), ("a\0,b", "nul_byte"), ("x" * csv_rows.MAX_LINE_CHARS + ",b", "row_too_long")])
def test_reasons(line, reason):
    _, rows = read(f"title,n\nbefore,1\n{line}\nafter,2\n".encode())
    assert bad(rows) == [(3, reason)] and [line for line, _ in good(rows)] == [2, 4]


def test_a_quote_inside_a_field_is_a_character():
    assert good(read(b'title,n\n5" of Snow,1\nHe said "no",2\n"6"" of ""rain""",3\n')[1]) == [
        (2, ['5" of Snow', "1"]), (3, ['He said "no"', "2"]), (4, ['6" of "rain"', "3"])]


def test_blank_lines_are_no_rows():
    assert [(row.line, row.value) for row in read(b"\n\ntitle\n \n\nRain\r\n\r\n")[1]] == [(6, ["Rain"])]


def test_a_row_over_several_lines_and_one_that_never_ends():
    paragraphs = "\n".join(f"Line {n}" for n in range(csv_rows.MAX_ROW_LINES))
    _, rows = read(f'title,body\nA,"{paragraphs}"\nB,short\nC,"{paragraphs}\none more"\nD,short\n'.encode())
    assert [value[0] for _, value in good(rows)] == ["A", "B", "D"] and rows[0].lines == csv_rows.MAX_ROW_LINES
    assert bad(rows)[0] == (csv_rows.MAX_ROW_LINES + 3, "bad_quotes")
    assert {reason for _, reason in bad(rows)[1:]} == {"wrong_field_count"}


def test_a_long_row_over_several_lines_is_rejected_line_by_line():
    half = "x" * (csv_rows.MAX_LINE_CHARS // 2)
    _, rows = read(f'title,n\n"{half}\n{half}\n{half}",1,2\nB,2\n'.encode())
    assert bad(rows) == [(2, "row_too_long"), (3, "wrong_field_count"), (4, "wrong_field_count")] and good(rows) == [(5, ["B", "2"])]


@pytest.mark.parametrize("header, names", [(b"title", ("title",)), (b"\xef\xbb\xbfTitle ,Score", ("title", "score")),
                                           (b'"title";"a,b"', ("title", "a,b")),
                                           (b"n\ttitle", ("n", "title")), (b"\n\ntitle,title2", ("title", "title2"))])
def test_headers(header, names):
    assert read(header + b"\n")[0].names == names


@pytest.mark.parametrize("content, message", [
    (b"", "the file is empty"), (b"\n \n", "the file is empty"), (b"\xff\xfe", "the file is empty"),
    (b"headline,n\na,1\n", "no column is called title; the columns are 'headline, n'"), (b'"title,n\n', "no column is called title"),
    (b"x" * 2**18, "more than 131,072 characters in one line"), (b"\0" * 9, "UTF-16 without its mark"),
    ("title\nRain\n".encode("utf-16-le"), "UTF-16 without its mark"), ("title\nRain\n".encode("utf-16")[:-1], ":2: not utf-16")])
def test_files_that_are_refused(content, message):
    with pytest.raises(UserError, match=message):
        read(content)


def test_an_encoding_that_nobody_named_is_refused_and_a_single_bad_line_rejected():
    lines = ["title", "Café One", "“Two”", "Three", "It’s Four"]
    with pytest.raises(UserError, match=":2: not UTF-8, as are 3 of the first"):
        read("\n".join(lines).encode("cp1252"))
    assert [value for _, value in good(read("\n".join(lines).encode("cp1252"), encoding="cp1252")[1])] == [[line] for line in lines[1:]]
    _, rows = read("\n".join([*lines, *lines[1:]]).encode() + b"\ncaf\xe9\ncaf\xe9\ncaf\xe9\nlast")
    assert bad(rows) == [(10, "invalid_encoding"), (11, "invalid_encoding"), (12, "invalid_encoding")] and good(rows)[-1] == (13, ["last"])
    for name in ("latin-9000", "hex", "undefined", "idna"):
        with pytest.raises(UserError, match="knows no such encoding"):
            read(b"title\n", encoding=name)
