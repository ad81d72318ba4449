"""The character set of a web page: what it declares is often wrong, so what fits its bytes decides."""
import codecs
import contextlib
import re

# What browsers take these labels for (encoding.spec.whatwg.org): the wider code page that the pages are really written in.
WIDER = {"ascii": "cp1252", "iso8859-1": "cp1252", "iso8859-9": "cp1254", "iso8859-11": "cp874", "tis-620": "cp874", "shift_jis": "cp932",
         "gb2312": "gb18030", "gbk": "gb18030", "euc_kr": "cp949", "johab": "cp949"}
GUESS_BYTES = 200_000
MIN_FOREIGN_SHARE = 0.25  # of the letters beyond ASCII: French has 0.06, Russian without a Latin word 1.0
ASCII = bytes(range(128))
# What undeclared bytes of other scripts may be.
LIKELY = ["cp1251", "koi8_r", "cp1253", "cp1255", "cp1256", "cp874", "cp932", "euc_jp", "gb18030", "big5", "cp949",
          "utf_16_le", "utf_16_be"]
NOT_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufdd0-\ufdef\ufffe\uffff]")  # a NUL ends the page for some parsers


def decode(data, content_type=""):
    """Return (text, name of the character set it was read with).

    A byte order mark decides. Else valid UTF-8 is UTF-8, whatever is declared: no other text is that by chance. Then header and page are
    believed where their character set fits every byte, then charset-normalizer.
    """
    from bs4.dammit import EncodingDetector
    plain, marked = EncodingDetector.strip_byte_order_mark(data)
    header = re.search(r"charset\s*=\s*[\"']?([\w.:-]+)", content_type, re.I)
    declared = [marked, header and header[1], EncodingDetector.find_declared_encoding(plain, is_html=True)]
    declared = [name for name in map(codec, declared) if name]
    if not (marked or b"\x1b" in plain or b"\0" in plain):  # what looks like ASCII may be UTF-16 or ISO-2022, if it says so
        declared.insert(0, "utf-8")
    for name in declared:
        with contextlib.suppress(UnicodeDecodeError):
            return NOT_TEXT.sub("", plain.decode(name)), name
    name = "utf-8" if _mostly_utf8(plain) else guess(plain)
    codecs.register_error("windows-1252", _as_windows_1252)
    text = plain.decode(name, "windows-1252")
    return NOT_TEXT.sub("", text), name if name != "utf-8" else "utf-8, mended"


def _as_windows_1252(error):
    """What stands where no UTF-8 does was pasted from a Windows program. Where not even that, U+FFFD says so."""
    return error.object[error.start:error.end].decode("cp1252", "replace"), error.end


def codec(name):
    """Return Python's name of a declared character set, the wider one where browsers take that; None for an unknown one."""
    try:
        name = codecs.lookup(str(name)).name
        "".encode(name)  # not base64 and its like
    except (LookupError, TypeError, ValueError):
        return None
    return WIDER.get(name, name)


def _mostly_utf8(data):
    """True when most of the bytes beyond ASCII belong to valid UTF-8."""
    foreign = len(data.translate(None, ASCII))
    valid = sum(len(c.encode()) for c in data.decode("utf-8", "ignore") if c > "\x7f")
    return valid >= 0.5 * foreign


def guess(data):
    """Return the name of the character set that fits undeclared bytes best.

    Text in Latin letters is windows-1252, as browsers take it: its few other bytes tell it from no other code page.
    """
    from charset_normalizer import from_bytes
    text = re.sub(rb"<script.*?</script>|<style.*?</style>|<[^<>]*>", b" ", data, flags=re.S | re.I)[:GUESS_BYTES]
    foreign, latin = len(text.translate(None, ASCII)), len(re.findall(rb"[A-Za-z]", text))
    if foreign < MIN_FOREIGN_SHARE * (foreign + latin) and b"\0" not in text:
        return "cp1252"
    found = from_bytes(text, cp_isolation=LIKELY).best()
    return found.encoding if found else "cp1252"
