"""One record of a dataset for people: what is said in it, and where its text comes from, down to the bytes of the collected file."""
from paths import CONFIGS_DIR, folder, show
from weatherman.cli import UserError
from weatherman.files import read_jsonl, sha256_file

RAW_CHARS = 600      # shown of the raw text of one document
COLLECTED = {"gutenberg": "*.txt", "web": "*.txt", "reddit": "*.jsonl"}  # folder under data/raw, its files


def find_record(where, paths):
    """Return (split, line, record) for "118" (of train), "test:7", or a record's id. paths: {split: file}. Raises UserError without one."""
    split, _, number = where.rpartition(":")
    by_line = number.isdigit() and (not split or split in paths)
    searched = {split or "train": paths[split or "train"]} if by_line else paths
    for name, path in searched.items():
        if not path.is_file():
            raise UserError(f"{show(path)}: no such file.", "python scripts/08_build_dataset.py")
        for line, record in read_jsonl(path, on_bad=lambda *bad: None):
            if line == int(number) if by_line else record.get("id") == where:
                return name, line, record
    if by_line:
        raise UserError(f"{show(path)}: there is no record at line {number}.", f"wc -l '{path}'")
    raise UserError(f"{where}: expected a line number, SPLIT:LINE with one of {', '.join(paths)}, or the id of a record; there is none "
                    "with this id.", "--show validation:12")


def readable(record):
    """Return a record as text for people: tags, provenance, then the turns with their calls."""
    lines = [f"{record['id']}  {' '.join(f'{key}={value}' for key, value in record['tags'].items() if value)}",
             *(f"from {d['id']} bytes {d['start']}-{d['end']} ({d['license']})" for d in record["provenance"]["documents"]),
             f"tools: {', '.join(tool['function']['name'] for tool in record['tools']) or 'none'}"]
    for message in record["messages"]:
        lines += ["", f"[{message['role']}] {message['content']}".rstrip()]
        lines += [f"  -> {call['function']['name']}({call['function']['arguments']})" for call in message.get("tool_calls") or []]
    return "\n".join(lines)


def trace(split, line, record):
    """Return a record and, for each document behind it, passage, file, bytes and licence as text.

    Raises UserError when a file is missing, or is no longer the one the record was made from.
    """
    made = record["provenance"]
    parts = [f"{split}:{line}  {readable(record)}", f"made by {made['generator']}, seed {made['seed']}, split group {made['split_group']}"]
    for document in made["documents"]:
        parts.append(trace_voice(document) if record["tags"]["source"] in ("synthetic", "imported") else trace_text(document))
    return "\n\n".join(parts)


def trace_text(document):
    """Return the lines on a document of a corpus: its passage in unique.jsonl, its collected file, and the raw text."""
    passage = find_passage(document)
    path = find_file(document)
    with open(path, "rb") as handle:
        handle.seek(document["start"])
        raw = handle.read(document["end"] - document["start"])
    sidecar = path.with_suffix(".json")
    encoding = read_sidecar(sidecar)["encoding"] if sidecar.is_file() else "utf-8"
    text = raw.decode(encoding, "replace").replace("\r\n", "\n")
    shown = text if len(text) <= RAW_CHARS else f"{text[:RAW_CHARS]} … ({len(text) - RAW_CHARS:,} more characters)"
    return "\n".join([
        f"passage {passage['id']} of data/processed/unique.jsonl, {passage['word_count']:,} words",
        f"title   {passage['title']}", f"author  {passage['author'] or 'not stated'}", f"year    {passage['year'] or 'not stated'}",
        f"licence {document['license']}", f"address {passage['url'] or 'not stated'}",
        f"file    {show(path)}, bytes {document['start']:,}-{document['end']:,} ({encoding})",
        f"sha256  {document['sha256']} (verified: the file has it)", "", "passage:", passage["text"], "", "raw text:", shown])


def find_passage(document):
    """Return the passage (dict) whose bytes hold those of a DocumentRef. Raises UserError when there is none."""
    path = folder("processed") / "unique.jsonl"
    if not path.is_file():
        raise UserError(f"{show(path)}: no such file, so the passage cannot be shown.", "python scripts/05_deduplicate.py")
    for _, passage in read_jsonl(path, on_bad=lambda *bad: None):
        if (passage["id"].split("#")[0] == document["id"].split("#")[0] and passage["document_sha256"] == document["sha256"]
                and passage["start"] <= document["start"] and document["end"] <= passage["end"]):
            return passage
    raise UserError(f"{show(path)}: no passage of {document['id']} holds the bytes {document['start']}-{document['end']}.",
                    "run 06 and 08 again: unique.jsonl is newer than the dataset")


def find_file(document):
    """Return the path of the collected file with a document's sha256. Raises UserError when no file has it."""
    kind, _, name = document["id"].split("#")[0].partition(":")
    files = sorted((folder("raw") / kind).glob(COLLECTED.get(kind, "*")))
    named = [path for path in files if path.stem == name]
    for path in named or files:
        if sha256_file(path) == document["sha256"]:
            return path
    raise UserError(f"{show(folder('raw') / kind)}: " + ("the file is not the one the record was made from (another sha256)." if named
                    else f"no file has the sha256 of {document['id']}."), "collect it again, then 04 to 08")


def read_sidecar(path):
    import orjson
    return orjson.loads(path.read_bytes())


def trace_voice(document):
    """Return the lines on the file of phrases that a synthetic dialogue was written with, or on an imported file."""
    kind, _, name = document["id"].partition(":")
    path = CONFIGS_DIR / "dialogue" / f"{kind}s" / f"{name}.yaml"
    lines = [f"licence {document['license']}", f"bytes   {document['start']:,}-{document['end']:,}"]
    if not path.is_file():
        return "\n".join([f"source  {document['id']} (not a file of this repository)", *lines, f"sha256  {document['sha256']}"])
    found = sha256_file(path)
    verdict = "verified: the file has it" if found == document["sha256"] else f"the file has CHANGED since, it has {found} now"
    return "\n".join([f"voice   {name}", f"file    {show(path)}", *lines, f"sha256  {document['sha256']} ({verdict})"])
