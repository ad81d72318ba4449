"""Collect web pages: fetch them politely, or read saved ones, and keep the main text of each beside the page it came from.

Reads a list of addresses (one a line, # comments) or saved HTML files. Writes data/raw/web/NAME.html (the bytes as they came),
NAME.txt (the main text, a blank line between paragraphs) and, last, the sidecar NAME.json; what was kept out, with the reason, goes
to LIST.rejects.jsonl beside them. A page that is there whole is not fetched again. Machine: the Mac.
    python scripts/03_collect_web.py --urls urls.txt --dry-run
    python scripts/03_collect_web.py --urls urls.txt
    python scripts/03_collect_web.py --input data/samples/web
"""
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from paths import folder, show
from weatherman.cli import DONE, MENDABLE, add_config_flags, log, parser, progress, run, table
from weatherman.files import atomic_write, atomic_writes, to_json, to_json_line

SHOWN_REFUSALS = 10
EXCERPT_CHARS = 300


@dataclass
class Wanted:
    """One page to collect: an address in line `line` of a list, or a saved file."""

    name: str
    where: str         # address or path, for people
    line: int | None
    path: Path | None = None


def main(argv=None):
    """Collect every wanted page; exit status 1 when one was refused or could not be had."""
    args = parse_args(argv)
    from weatherman.corpus.fetch import Client
    from weatherman.corpus.web import Known, Verdicts, read_stored
    from weatherman.schemas import data_config
    resolved = data_config(args)
    config = resolved.values
    target = Path(args.output) if args.output else folder("raw") / "web"
    wanted, results = read_wanted(args, config.web.max_bytes)
    if args.dry_run:
        for page in wanted:
            log(f"would read {page.where} and write {show(target / page.name)}.txt")
        return DONE
    client, known = Client.of(config.web, config.web.public_only), Known()
    for path in sorted(target.glob("*.json")):
        if stored := read_stored(target, path.stem):
            known.add(path.stem, stored)
    source = Path(args.urls or args.input[0])
    rejects = target / f"{source.name.partition('.')[0]}.rejects.jsonl"
    verdicts = Verdicts(rejects.with_suffix(".verdicts"), __file__, resolved.plain)
    for page in progress(wanted, "pages", len(wanted), "pages"):
        results.append(verdicts.of(page) or collect(page, target, known, client, config, args.refresh))
    write_rejects(rejects, results, source)
    verdicts.write(results, wanted)
    report(results, rejects, args.json)
    return MENDABLE if any(result["reason"] for result in results) else DONE


def parse_args(argv):
    """Return the flags as typed."""
    flags = parser(__doc__)
    source = flags.add_mutually_exclusive_group(required=True)
    source.add_argument("--urls", metavar="FILE", help="a list of http(s) addresses, one a line")
    source.add_argument("--input", metavar="FILE", nargs="+", help="saved pages instead: HTML files (also .gz), or folders of them")
    flags.add_argument("--refresh", action="store_true", help="ask again for pages that are there; an unchanged one is read again")
    add_config_flags(flags)
    flags.add_argument("--output", metavar="FOLDER", help="write here instead of data/raw/web")
    flags.add_argument("--dry-run", action="store_true", help="say what would be read and written; fetch nothing")
    flags.set_defaults(seed=None)
    return flags.parse_args(argv)


def read_wanted(args, max_bytes):
    """Return ([Wanted], [results of lines and files that are refused already])."""
    from weatherman.corpus.page import Refused
    from weatherman.corpus.urls import page_name, read_urls, saved_pages
    from weatherman.corpus.web import read_saved
    wanted, refused = {}, []

    def refuse(line, reason, note):
        refused.append({"id": None, "line": line, "where": "", "status": "refused", "reason": reason, "note": note})

    def want(page):
        if page.name in wanted:
            refuse(page.line, "duplicate_page", f"{page.where} is asked for twice")
        else:
            wanted[page.name] = page

    if args.urls:
        for line, url in read_urls(args.urls, refuse):
            want(Wanted(page_name(url, url.encode()), url, line))
    else:
        for path in saved_pages(args.input):
            try:
                want(Wanted(page_name(path.name.partition(".htm")[0], read_saved(path, max_bytes)), show(path), None, path))
            except Refused as error:
                refuse(None, error.reason, f"{show(path)}: {error}")
    return list(wanted.values()), refused


def collect(page, target, known, client, config, refresh):
    """Return {id, line, where, status, reason, note} for one page: cached, fetched or refused. A refused one leaves its older copy."""
    from weatherman.corpus.fetch import Reply, Unavailable
    from weatherman.corpus.page import Refused
    from weatherman.corpus.web import PARTS, read_saved, read_stored, read_text, reason_of
    result = {"id": f"web:{page.name}", "line": page.line, "where": page.where}
    stored = read_stored(target, page.name)
    if stored and not refresh:
        return {**result, "status": "cached", "reason": None, "note": stored["title"]}
    try:
        received = Reply("", 200, {}, read_saved(page.path, config.web.max_bytes)) if page.path else fetch(page, stored, target, client)
        text, sidecar = read_text(received, result["id"], config)
        known.check(page.name, sidecar)
    except (Refused, Unavailable) as error:
        reason = error.reason if isinstance(error, Refused) else reason_of(str(error))
        return {**result, "status": "refused", "reason": reason, "note": " ".join(str(error).split())}
    with atomic_writes([target / f"{page.name}{suffix}" for suffix in PARTS]) as parts:
        for part, content in zip(parts, (received.data, text.encode(), to_json(sidecar))):
            part.write(content)
    known.add(page.name, sidecar)
    return {**result, "status": "fetched", "reason": None, "note": sidecar["title"]}


def fetch(page, stored, target, client):
    """Return the Reply for a page on the web; where the server says that the stored copy still holds, with the data of that.

    Raises Unavailable, Refused (not_found).
    """
    from weatherman.corpus.fetch import Reply
    from weatherman.corpus.page import Refused
    conditions = {key: stored[key] for key in ("etag", "last_modified")} if stored else {}
    reply = client.get(page.where, **conditions, complete=lambda data: b"</html" in data[-1000:].lower())
    if reply.status == 304:
        headers = {"ETag": stored["etag"], "Last-Modified": stored["last_modified"],
                   "Content-Type": f"text/html; charset={stored['charset']}"}
        return Reply(stored["url"], 200, headers, (target / f"{page.name}.html").read_bytes())
    if reply.status != 200:
        raise Refused("not_found", f"HTTP {reply.status}")
    return reply


def write_rejects(path, results, source):
    """Write what was kept out in this run, in the order of the list."""
    with atomic_write(path) as handle:
        for r in sorted((r for r in results if r["reason"]), key=lambda r: r["line"] or 0):
            handle.write(to_json_line({"file": show(source), "line": r["line"], "id": r["id"], "reason": r["reason"],
                                       "excerpt": f"{r['where']} {r['note']}".strip()[:EXCERPT_CHARS]}))


def report(results, rejects, as_json):
    """Print one JSON object to stdout, or a table and the first refusals to stderr."""
    if as_json:
        sys.stdout.write(to_json_line({"script": "03_collect_web.py", "rejects": show(rejects), "pages": results}).decode())
        return
    counts = Counter(f"refused: {r['reason']}" if r["reason"] else r["status"] for r in results)
    log(table([[name, count] for name, count in sorted(counts.items())], ["03_collect_web.py", "pages"]))
    refused = [r for r in results if r["reason"]]
    for r in refused[:SHOWN_REFUSALS]:
        log(f"{r['reason'].replace('_', ' ')}: {r['where']} {r['note']}"[:EXCERPT_CHARS])
    if refused:
        log(f"{len(refused):,} of {len(results):,} were refused; each with its reason: {show(rejects)}")


if __name__ == "__main__":
    sys.exit(run(main))
