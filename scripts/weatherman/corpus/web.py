"""Which pages 03 keeps: reading saved ones, what makes a page unfit, which ones are there already."""
import gzip
import re
import zlib
from dataclasses import dataclass, field

from paths import CONFIGS_DIR
from weatherman.corpus.fetch import ROBOT
from weatherman.corpus.page import Refused, read_page, refuse_directives
from weatherman.files import sha256_by_name, sha256_bytes, sha256_file, write_json
from weatherman.manifest import code_sha256, config_sha256, now

ROBOT_NAMES = {"*", ROBOT.lower()}
DIRECTIVES_WITH_VALUES = {"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"}
NO_LICENCE = "no licence stated; copyright of its publisher"
NOT_OF_THE_PAGE = {"duplicate_page", "too_slow"}  # reasons that may be gone although the page is the same
PARTS = (".html", ".txt", ".json")  # of one page; the sidecar is written last

# What the client says of a page it could not get, as reasons; test_web.py has the real client say each of them.
UNAVAILABLE = {
    "robots": r"robots\.txt of \S+ does not allow",
    "private_address": r"not a public address|not a web server's",
    "too_large": r"more than [\d,]+ bytes",
    "bad_redirect": r"redirects",
}
# Pages that stand in for the one asked for. They are short, so only short texts are looked at.
WALL_WORDS = 150
WALLS = {
    "error_page": r"\b(?:error 404|404 (?:error|not found)|page (?:not found|cannot be found|no longer exists)|access denied"
                  r"|403 forbidden|page you (?:requested|are looking for|were looking for)|no longer available|internal server error"
                  r"|service unavailable)\b",
    "robot_check": r"\b(?:are (?:you )?(?:not )?a robot|you are (?:a )?human|checking your browser|unusual traffic|just a moment\.\.\."
                   r"|enable (?:javascript|js)|javascript (?:is|must be) (?:disabled|enabled|required)|complete the captcha)\b",
    "consent_wall": r"\b(?:before you continue|(?:accept|allow) (?:all )?cookies|we value your privacy|cookie (?:consent|preferences)"
                    r"|manage (?:your )?(?:cookies|consent|choices))\b",
    "paywall": r"\b(?:subscribe (?:now )?to (?:continue|read|unlock)|(?:log|sign) in to (?:continue|read)|already a subscriber"
               r"|subscribers? only|create (?:a free|an) account to)\b",
}


def read_saved(path, max_bytes):
    """Return the bytes of a saved page, unpacked where its name ends in .gz. Raises Refused (too_large, not_html)."""
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as handle:
            data = handle.read(max_bytes + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise Refused("not_html", f"it cannot be unpacked: {error}") from None
    if len(data) > max_bytes:
        raise Refused("too_large", f"more than {max_bytes:,} bytes")
    return data


def reason_of(problem):
    """Return the reject reason for what the client said of a page it could not get ("ADDRESS: what was wrong")."""
    said = problem.partition(": ")[2]
    return next((reason for reason, pattern in UNAVAILABLE.items() if re.search(pattern, said)), "unavailable")


def our_directives(header):
    """Return the part of an X-Robots-Tag that speaks to us: directives for all robots, or behind our name."""
    agent, ours = "*", []
    for part in header.split(","):
        name, colon, rest = (piece.strip() for piece in part.partition(":"))
        if colon and name.lower() not in DIRECTIVES_WITH_VALUES:
            agent, part = name.lower(), rest
        if agent in ROBOT_NAMES:
            ours.append(part.strip())
    return ", ".join(ours)


def read_text(received, page_id, config):
    """Return (text, PageSidecar as a dict) of a page that may be kept. Raises Refused. config: the data configuration."""
    from weatherman.records import PageSidecar, check
    headers = received.headers
    refuse_directives(our_directives(headers.get("X-Robots-Tag") or ""), "X-Robots-Tag")
    refuse_directives(headers.get("TDM-Reservation") or "", "tdm-reservation")
    page = read_page(received.data, received.url, headers.get("Content-Type") or "", config.web.reading_s)
    verify(page, config.cleaning, config.seed)
    text = f"{page.text}\n"
    sidecar = {"id": page_id, "title": page.title, "author": page.author, "language": config.cleaning.language,
               "rights": page.licence or NO_LICENCE, "encoding": "utf-8", "url": received.url or page.canonical,
               "sha256": sha256_bytes(text.encode()), "fetched_at": now(), "etag": headers.get("ETag"),
               "last_modified": headers.get("Last-Modified"), "date": page.date, "canonical": page.canonical, "charset": page.charset}
    check(PageSidecar, sidecar)
    return text, sidecar


def read_stored(folder, name):
    """Return the sidecar of a collected page whose three files are there and fit each other, None otherwise."""
    import orjson

    from weatherman.records import PageSidecar, check
    try:
        sidecar = orjson.loads((folder / f"{name}.json").read_bytes())
        check(PageSidecar, sidecar)
        intact = sha256_file(folder / f"{name}.txt") == sidecar["sha256"] and (folder / f"{name}.html").is_file()
    except (FileNotFoundError, orjson.JSONDecodeError, ValueError):
        return None  # half a page, or an older shape: it is fetched again
    return sidecar if intact else None


def verify(page, cleaning, seed):
    """Raise Refused for a page that is a wall, too short to give one passage, or in another language than the configured one."""
    from weatherman.corpus.language import is_language
    count = len(page.text.split())
    if count < WALL_WORDS:
        for reason, pattern in WALLS.items():
            if found := re.search(pattern, f"{page.title}\n{page.text}", re.I):
                raise Refused(reason, f'it says "{found[0]}" and has {count} words')
    if count < cleaning.min_words:
        raise Refused("too_short", f"its main text has {count} words, expected {cleaning.min_words}")
    if not is_language(page.text, cleaning.language, seed):
        raise Refused("other_language", f'expected "{cleaning.language}": {page.text[:80]}')


@dataclass
class Known:
    """The pages that are there: which addresses and which texts are taken, and by which page."""

    _names: dict = field(default_factory=dict)  # address or sha256 of a text -> name

    def add(self, name, sidecar):
        for key in _marks(sidecar):
            self._names.setdefault(key, name)

    def check(self, name, sidecar):
        """Raise Refused when another page has this text, this address, or the address that this one calls its own."""
        for key, what in _marks(sidecar).items():
            if self._names.get(key, name) != name:
                raise Refused("duplicate_page", f"{what} web:{self._names[key]}")


def _marks(sidecar):
    """Return {key: how two pages that share it are related}. A saved page may have no address."""
    addresses = {address: "it is the same page as" for address in (sidecar["url"], sidecar["canonical"]) if address}
    return {sidecar["sha256"]: "it has the text of", **addresses}


class Verdicts:
    """The refusals of saved pages by this code and configuration: such a page is not read again. Its name holds a hash of its bytes."""

    def __init__(self, path, script, plain):
        self.path = path
        self.made_by = config_sha256([code_sha256(script, ["corpus"]), plain["web"], plain["cleaning"], plain["seed"],
                                      sha256_by_name((CONFIGS_DIR / "corpus").glob("*.yaml"))])
        self.known = self._read()

    def _read(self):
        import orjson
        try:
            found = orjson.loads(self.path.read_bytes())
            return found["refused"] if found["made_by"] == self.made_by else {}
        except (FileNotFoundError, orjson.JSONDecodeError, KeyError, TypeError):
            return {}

    def of(self, page):
        """Return the result of a page that was refused before, None for every other one."""
        return self.known.get(page.name) if page.path else None

    def write(self, results, wanted):
        """Keep the refusals among the results of the wanted pages for the next run."""
        saved = {f"web:{page.name}": page.name for page in wanted if page.path}
        refused = {saved[r["id"]]: r for r in results if r["id"] in saved and r["reason"] and r["reason"] not in NOT_OF_THE_PAGE}
        write_json(self.path, {"made_by": self.made_by, "refused": refused})
