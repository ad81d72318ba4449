"""Read CSV files that may be broken: each line comes out as part of a row or is rejected, and none swallows its neighbours."""
import csv
import re
from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

from weatherman.cli import UserError
from weatherman.files import is_utf8

DELIMITERS = ",;\t|"
BOMS = {b"\xef\xbb\xbf": "utf-8", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
SNIFF_BYTES = 2**18
OTHER_ENCODING_LINES = 3      # so many lines that are not UTF-8 are no accident
MAX_LINE_CHARS = 2**17        # the csv module gives up on a field longer than this, over several lines too
MAX_ROW_LINES = 200           # a quote still open after so many lines was never meant to open; the body of a post has paragraphs
SURROGATE = re.compile("[\ud800-\udfff]")  # stands for bytes that are not in the file's encoding


class Row(NamedTuple):
    """One row, or one line that is none: then `reason` says why, and `value` is its text instead of its fields."""

    line: int      # number of its first line, from 1
    lines: int
    reason: str | None
    value: list[str] | str


@dataclass
class Table:
    """How a CSV file is written."""

    path: str
    encoding: str
    line_end: str         # "\n", also where lines end in "\r\n", or "\r"
    delimiter: str = ","
    names: tuple = ()     # of the columns, lower case
    header_line: int = 0


def open_table(path, needed, encoding=None):
    """Return the Table of a CSV file with a column whose name is in `needed`. encoding: detected when None.

    Raises UserError when there is no such column, or the encoding is neither said nor plain.
    """
    with open(path, "rb") as handle:
        sample = handle.read(SNIFF_BYTES)
    encoding = find_encoding(path, sample, encoding)
    table = Table(path, encoding, "\n" if "\n" in sample.decode(encoding, "replace") else "\r")
    number, line = next(((n, text) for n, text in text_lines(table) if text is None or text.strip("\ufeff\r\n ")), (0, None))
    if number == 0:
        raise UserError(f"{path}: the file is empty; expected a CSV dump with a column {needed[0]}.")
    found = {delimiter: header_names(line or "", delimiter) for delimiter in DELIMITERS}
    table.delimiter = next((delimiter for delimiter, names in found.items() if set(needed) & set(names)), None)
    if table.delimiter is None:
        shown = ", ".join(max(found.values(), key=len)) if line else f"more than {MAX_LINE_CHARS:,} characters in one line"
        raise UserError(f"{path}:{number}: no column is called {needed[0]}; the columns are {shown[:200]!r}.",
                        f"head -n 3 '{path}', then rename the column that is meant")
    table.names, table.header_line = found[table.delimiter], number
    return table


def find_encoding(path, sample, asked):
    """Return the encoding of a file that begins with `sample`: the one asked for, its mark's, or UTF-8. Raises UserError."""
    try:
        bytes(4).decode(asked or "utf-8", "surrogateescape")
    except (LookupError, UnicodeError):
        raise UserError(f"--encoding {asked}: Python knows no such encoding of text.", "--encoding cp1252") from None
    found = asked or next((name for mark, name in BOMS.items() if sample.startswith(mark)), None)
    if found is None and sample[1:2] == sample[3:4] == b"\0":
        raise UserError(f"{path}: every second byte is zero: UTF-16 without its mark.", "--encoding utf-16-le")
    if found is None:
        lines = re.split(rb"[\r\n]+", sample)
        lines = lines[:-1] if len(sample) == SNIFF_BYTES else lines  # the last one may be cut inside a character
        bad = [number for number, line in enumerate(lines, 1) if not is_utf8(line)]
        if len(bad) >= OTHER_ENCODING_LINES and 2 * len(bad) > sum(not line.isascii() for line in lines):
            raise UserError(f"{path}:{bad[0]}: not UTF-8, as are {len(bad)} of the first {len(lines)} lines.",
                            "--encoding cp1252, which spreadsheets on Windows write")
    return found or "utf-8"


def header_names(line, delimiter):
    """Return the column names of a header line in lower case, () when its quotes are broken."""
    try:
        return tuple(name.strip().lower() for name in next(csv.reader([line.lstrip("\ufeff")], delimiter=delimiter, strict=True), ()))
    except csv.Error:
        return ()


def text_lines(table):
    """Yield (line number from 1, text with its line end), None instead of a text over MAX_LINE_CHARS. Memory stays flat."""
    with open(table.path, encoding=table.encoding, errors="surrogateescape", newline=table.line_end) as handle:
        number = 0
        try:
            while line := handle.readline(MAX_LINE_CHARS):
                number += 1
                whole = len(line) < MAX_LINE_CHARS or line.endswith(table.line_end)
                yield number, line if whole else None
                while not whole:
                    line = handle.readline(MAX_LINE_CHARS)
                    whole = not line or line.endswith(table.line_end)
        except UnicodeError as error:  # UTF-16 cut in the middle
            raise UserError(f"{table.path}:{number + 1}: not {table.encoding}: {error}.", "--encoding NAME") from None


def read_rows(table, fits=lambda fields: True):
    """Yield the Rows behind the header. fits(fields): whether a row over several lines is likely to be meant so.

    pandas gives no line numbers, and one quote too many swallows the rest of the file. Here a line whose quotes come to
    nothing costs itself alone: it is rejected, and the lines behind it that its row had taken are read again.
    """
    lines, again, width = text_lines(table), deque(), len(table.names)
    while (item := again.popleft() if again else next(lines, None)) is not None:
        number, text = item
        if number <= table.header_line:
            continue
        if reason := unreadable(text):
            yield Row(number, 1, reason, text or f"more than {MAX_LINE_CHARS:,} characters")
        elif '"' not in text:
            text = text.rstrip("\r\n")
            fields = text.split(table.delimiter)
            if text.strip(" "):
                yield Row(number, 1, None, fields) if len(fields) == width else Row(number, 1, "wrong_field_count", text)
        else:
            taken = [item]
            fields, reason = quoted_row(taken, again, lines, table.delimiter)
            if fields and len(fields) == width and (len(taken) == 1 or fits(fields)):
                yield Row(number, len(taken), None, fields)
            else:
                reason = reason or ("wrong_field_count" if len(taken) == 1 else "bad_quotes")
                again.extendleft(reversed(taken[1:]))
                yield Row(number, 1, reason, text)


def unreadable(text):
    """Return why a line cannot be part of a row, None when it can."""
    if text is None:
        return "row_too_long"
    if not text.isascii() and SURROGATE.search(text):
        return "invalid_encoding"
    return "nul_byte" if "\0" in text else None


def quoted_row(taken, again, lines, delimiter):
    """Return (fields, None) of the row that begins with the one line in `taken`, or (None, why its quotes come to nothing).

    Further lines come from `again`, then from `lines`, and are added to `taken`.
    """
    def feed():
        yield taken[0][1]
        while len(taken) < MAX_ROW_LINES and (item := again.popleft() if again else next(lines, None)) is not None:
            if unreadable(item[1]):
                again.appendleft(item)
                return
            taken.append(item)
            yield item[1]

    try:  # strict: text behind a closing quote is an error, and so is an end inside quotes
        return next(csv.reader(feed(), delimiter=delimiter, strict=True)), None
    except csv.Error as error:
        return None, "row_too_long" if "limit" in str(error) else "bad_quotes"
