"""The characters of a text: what is invisible, broken or markup goes, what the author wrote stays."""
import html
import re
import unicodedata

# Zero-width, directions, joiners, fillers, tags and the variation selectors of emoji; never part of an English word.
INVISIBLE = re.compile("[\u00ad\u034f\u061c\u115f\u1160\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff"
                       "\uffa0\ufff9-\ufffc\U000e0000-\U000e0fff]")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# Chat templates' own marks (ChatML, Llama 2 and 3, Mistral, Gemma, Qwen, GLM, DeepSeek, T5, BERT): as text they would end a turn in
# training.
CONTROL_TOKEN = re.compile(
    r"<[|｜][^<>|｜\n]{1,60}[|｜]>|<</?SYS>>"
    r"|\[/?(?:INST|SYS|SYSTEM_PROMPT|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|/?AVAILABLE_TOOLS|[gs]MASK|MASK|CLS|SEP|PAD|UNK|BOS|EOS)\]"
    r"|</?(?:s|unk|pad|bos|eos|mask|sop|eop|think|tool_call|tool_response|tools|start_of_turn|end_of_turn|start_of_image|end_of_image"
    r"|fim_\w{1,10}|extra_id_\d+|unused\d+|0x[0-9A-F]{2})>", re.I)
ENTITY = re.compile(r"&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z]\w{1,30});", re.I)
BREAK_TAG = re.compile(r"</?(?:p|br|hr|div|center|pre|blockquote|h[1-6]|li|ul|ol|td|tr|table)(?:\s[^<>]{0,300})?\s*/?>", re.I)
TAG = re.compile(r"</?(?:i|b|u|em|strong|small|big|sup|sub|tt|cite|font|span|a|img|abbr|code)(?:\s[^<>]{0,300})?\s*/?>", re.I)

# Markup of plain texts. A mark opens in front of a word and closes behind one; snake_case, x = y, 2 + 2 and ____ are text.
ITALICS = re.compile(r"(?<![^\W_])(?<!_)(_{1,2})(?=[^\s_])([^_]+)(?<=\S)\1(?!_)")
INNER_ITALICS = re.compile(r"(?<!\w)([^\W\d_]+)_([^\W\d_]{1,3})_([^\W\d_]+)(?!\w)")  # misch_ee_vous
LAST_ITALICS = re.compile(r"(?<=[^\W_])_(?=[^\s_])([^_]+)(?<=\S)_(?!\w)")              # in_ter_
LOOSE_ITALICS = re.compile(r"(?<![^\W_])(?<!_)_(?=[^\s_])|(?<=[^\s_])_(?!\w)")  # one that opens or closes in another paragraph
BOLD = re.compile(r"(?<![\w=+~])([=+~])(?=[^\s=+~])([^=+~\n]{1,300})(?<=[^\s=+~])\1(?![\w=+~])")
SUPERSCRIPT = re.compile(r"(?<=\w)[_^]\{([^{}\s]{1,12})\}|(?<=[A-Za-z])\^(?=[a-z])")
PLAIN = re.compile(r"[A-Za-z0-9À-ɏ \n.,;:!?()'\"“”‘’—…£$%*/-]*")  # most paragraphs: nothing in them to clean
STRAIGHT = str.maketrans({"“": '"', "”": '"', "„": '"', "‟": '"', "«": '"', "»": '"', "‘": "'", "’": "'", "‚": "'", "‛": "'", "ʼ": "'"})


def clean_text(text, straight_quotes=False):
    """Return text in NFC without invisible characters, control characters, chat templates' tokens, HTML and typographic markup.

    Line ends stay, other white space becomes single spaces. Done until nothing changes, so that nothing forbidden is left by what
    stood around or inside something else. straight_quotes: curly quotation marks become " and '.
    """
    before = None
    while text != before and not (PLAIN.fullmatch(text) and "  " not in text):
        before, text = text, _clean_once(text)
    return text.translate(STRAIGHT) if straight_quotes else text


def _clean_once(text):
    if not text.isascii():
        text = unicodedata.normalize("NFC", INVISIBLE.sub("", text))
    if "&" in text:
        text = ENTITY.sub(lambda match: " ".join(html.unescape(match[0]).split("\n")), text)
    if "<" in text or "[" in text:
        text = TAG.sub("", BREAK_TAG.sub(" ", CONTROL_TOKEN.sub("", text)))
    if "_" in text or "^" in text:
        text = SUPERSCRIPT.sub(lambda match: match[1] or "", text)
        text = INNER_ITALICS.sub(r"\1\2\3", ITALICS.sub(r"\2", text))
        text = LOOSE_ITALICS.sub("", LAST_ITALICS.sub(r"\1", text))
    if any(mark in text for mark in "=+~"):
        text = BOLD.sub(r"\2", text)
    lines = (" ".join(line.split()) for line in (text if text.isprintable() else CONTROL.sub(" ", text)).split("\n"))
    return "\n".join(line for line in lines if line)


def repair_mojibake(text):
    """Return text that was decoded with the wrong encoding once more as it was meant ("donâ€™t" -> "don’t"). For texts that are
    known to be damaged only: it guesses."""
    import ftfy
    return ftfy.fix_encoding(text)
