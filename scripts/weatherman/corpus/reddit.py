"""Read the CSV dumps of r/TheOnion and r/nottheonion: every row comes out parsed or rejected with its line number."""
import html
import io
import warnings

from weatherman.cli import UserError
from weatherman.files import read_lines

COLUMNS = ("created_utc", "url", "id", "num_comments", "title", "subreddit", "timestamp")
MAX_ROW_BYTES = 64 * 2**10   # the longest real row has 0.8 kB; the csv module gives up at 128 kB
MAX_ROW_LINES = 8            # a quote that is still open after so many lines was never meant to open
BATCH_ROWS = 5000


def read_posts(path, on_bad):
    """Yield (line number, {column: text}) for each post of a dump. Bad rows go to `on_bad(line number, reason, excerpt)`.

    Raises UserError when the header is not that of a dump. Columns may stand in any order; further ones are ignored.
    """
    header, batch = None, []
    for line, reason, text in split_rows(path):
        if reason:
            on_bad(line, reason, text)
        elif header is None:
            header = check_header(path, text)
        else:
            batch.append((line, text))
            if len(batch) == BATCH_ROWS:
                yield from _parse(batch, header, on_bad)
                batch = []
    if header is None:
        raise UserError(f"{path}: the file is empty; expected a CSV dump with the columns {','.join(COLUMNS)}.")
    if batch:
        yield from _parse(batch, header, on_bad)


def check_header(path, text):
    """Return the column names of a header row. Raises UserError unless all of COLUMNS are there."""
    found = [name.strip().strip('"') for name in text.split(",")]
    missing = [name for name in COLUMNS if name not in found]
    if missing:
        raise UserError(f"{path}:1: the columns are {', '.join(found)[:200]}; expected {', '.join(COLUMNS)} "
                        f"(missing: {', '.join(missing)}).",
                        "a dump as Reddit gave it, not one that was cleaned or reduced")
    return found


def split_rows(path):
    """Yield (line number, None, row) or (line number, reason, excerpt) for each row of a CSV file.

    A row ends where its quotes are balanced, so a title may hold line breaks. pandas alone would give no line numbers,
    and one quote too many would swallow the rest of the file: here it costs its own line.
    """
    waiting = []
    for number, line in read_lines(path, MAX_ROW_BYTES):
        reason = None
        if line is None:
            reason, text = "row_too_long", f"more than {MAX_ROW_BYTES:,} bytes"
        else:
            line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            try:
                text = line.decode("utf-8")
            except UnicodeDecodeError:
                reason, text = "invalid_utf8", line.decode("utf-8", "backslashreplace")
            else:
                reason = "nul_byte" if "\0" in text else None
        if reason:
            yield from _flush(waiting)
            waiting = []
            yield number, reason, text
        elif waiting or text.strip():
            waiting.append((number, text))
            if sum(row.count('"') for _, row in waiting) % 2 == 0:
                yield waiting[0][0], None, "\n".join(row for _, row in waiting)
                waiting = []
            elif len(waiting) == MAX_ROW_LINES:
                yield from _flush(waiting)
                waiting = []
    yield from _flush(waiting)


def _flush(waiting):
    """Yield what lines with an open quote are worth one by one: the unbalanced ones rejected, the others as rows."""
    for number, row in waiting:
        if row.count('"') % 2:
            yield number, "unbalanced_quotes", row
        elif row.strip():
            yield number, None, row


def _parse(batch, header, on_bad):
    """Yield (line number, {column: text}) of a batch of rows; pandas splits and unquotes the fields."""
    import pandas
    width = len(header)
    text = "\n".join(row for _, row in batch)
    with warnings.catch_warnings():
        # One column more than there should be: a row with too many fields fills it (the rest is cut, hence the warning),
        # a row with too few has NaN instead of text.
        warnings.simplefilter("ignore", pandas.errors.ParserWarning)
        frame = pandas.read_csv(io.StringIO(text), names=[*header, "_extra"], header=None, index_col=False, dtype=str,
                                keep_default_na=False, skip_blank_lines=False, engine="python")
    if len(frame) != len(batch):
        raise RuntimeError(f"pandas read {len(frame)} rows of {len(batch)} (lines {batch[0][0]} to {batch[-1][0]})")
    for (line, row), fields in zip(batch, frame.itertuples(index=False)):
        present = sum(isinstance(value, str) for value in fields)
        if present != width:
            on_bad(line, "wrong_field_count", row)
        else:
            yield line, {name: value for name, value in zip(header, fields) if name in COLUMNS}


def is_time(text):
    """True for seconds since 1970 as the dumps write them (up to the year 2286)."""
    return text.isascii() and text.isdecimal() and len(text) <= 10


def clean_title(title):
    """Return a headline as people read it: entities as characters, one line, no invisible characters."""
    from weatherman.corpus.clean import clean_line, clean_text
    return clean_text(clean_line(html.unescape(title)))


def row_spans(path):
    """Yield (line number, start, end) in bytes for each line of a collected file, its end excluded."""
    offset = 0
    with open(path, "rb") as handle:
        for number, line in enumerate(handle, 1):
            yield number, offset, offset + len(line.rstrip(b"\r\n"))
            offset += len(line)
