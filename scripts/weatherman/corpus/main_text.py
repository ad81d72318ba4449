"""The main text of a web page as blocks of prose: trafilatura finds it, BeautifulSoup mends what goes in and judges what comes out.

In front: text between <br><br> becomes paragraphs, classes of inline tags go. Behind: the headline again, blocks that are nothing but
a link, "read more" and their like go; the rest of an article that was taken in part comes. tests/measure_extraction.py measures it.
"""
import re

INLINE = {"a", "abbr", "b", "big", "cite", "code", "em", "font", "i", "img", "kbd", "mark", "q", "s", "small", "span", "strong", "sub",
          "sup", "time", "tt", "u", "var", "wbr"}
OUTSIDE = {"aside", "nav", "footer", "form", "figure", "figcaption", "header", "li", "td", "noscript"}
TEXT_BOXES = ["div", "p", "td", "section", "article", "main", "body", "blockquote", "font", "center"]
BLOCK_KINDS = {"p", "head", "item", "quote", "code", "row"}
BOXES = BLOCK_KINDS | {"list", "table", "div"}
HEADLINE_BLOCKS = 3      # the headline comes again among the first ones
MIN_ARTICLE_WORDS = 200  # with fewer found, the paragraphs of <article> must still beat this many
MISSED = 1.5             # so many times the words found stand in its paragraphs: the page is cut into parts, and one was taken
MIN_BARE_WORDS = 20      # of a box outside its paragraphs: below that it is a menu or a label
PAGE_TALK_WORDS = 40     # what speaks about the page is short; a long block that begins so is prose
WORD = re.compile(r"\w+")
SENTENCE_END = re.compile(r"[.!?…:;,][\"'”’»)\]]*$")
NOT_ARTICLE = re.compile(r"comment|repl(?:y|ies)|disqus|related|recommend|sidebar|promo|newsletter|footer|share", re.I)
# Blocks that begin so speak about the page, not about its subject.
PAGE_TALK = re.compile(r"""^\W*(?:
    (?:read|see|find\ out|learn)\ more\b(?!\ than\b)
    | don['’]t\ miss\W*(?:\n|$)
    | related(?:\ (?:posts?|articles?|stor(?:y|ies)|content|topics?|links?|coverage))?\s*(?::|$)
    | you\ (?:may|might)\ also\ (?:like|enjoy)\b
    | (?:click|tap)\ (?:here|to\ tweet|to\ share)\b
    | sign(?:ing)?\ up\ (?:for|to)\b
    | subscribe\ (?:to|now|today|here)\b
    | follow\b.{0,40}\bon\ (?:facebook|twitter|instagram)\b
    | leave\ a\ (?:comment|reply)\b
    | (?:©|\(c\)|copyright\b).{0,40}\b(?:19|20)\d\d\b | all\ rights\ reserved\b
    | (?:image|photo|picture)s?\ (?:credit|courtesy)\b
    | (?:this\ (?:site|website)|we)\ uses?\ cookies\b
    | skip\ to\ (?:main\ )?content\b
    | (?:estimated\ )?reading\ time\b
    | (?:more\ (?:on\ this|from)|continue\ reading|explore\ further|filed\ under|posted\ (?:in|by|on)|tagged|tags?:
       |share\ (?:this|on|via)|print\ this)\b[^.]{0,60}$
    | (?:advertisement|comments?|back\ to\ top)\W*$
    )""", re.I | re.X)


def find_main_text(soup, url):
    """Return (trafilatura's Document of the page, None when it finds nothing; the blocks of its main text). Changes the soup."""
    make_paragraphs(soup)
    for tag in soup.select("p span"):  # trafilatura drops <span class="link">, and leaves a hole in the sentence
        tag.attrs = {}
    document = extract(str(soup), url)
    kept = without_page_talk(blocks(document.body) if document else [], soup)
    return document, [text for _, text in whole_article(kept, soup)]


def extract(html, url):
    """Return trafilatura's Document (body: a tree of p, head, list, quote, table), None when it finds nothing."""
    import logging

    from trafilatura import bare_extraction
    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)  # our own reasons say more
    return bare_extraction(html, url=url, favor_precision=True, include_comments=False, with_metadata=True,
                           date_extraction_params={"original_date": True, "extensive_search": False})


def make_paragraphs(soup):
    """Put bare text into <p>: between two or more <br>, and beside the blocks of a box. trafilatura looks for paragraphs, and loses it."""
    for box in soup.find_all(TEXT_BOXES):
        nodes = list(box.children)
        runs = _runs(nodes)
        if len(runs) < 2 or sum(len(node.split()) for node in nodes if isinstance(node, str)) < MIN_BARE_WORDS:
            continue
        box.clear()
        box.name = "div" if box.name == "p" else box.name  # no paragraph holds another
        for run in runs:
            if _is_inline(run[0]):
                paragraph = soup.new_tag("p")
                paragraph.extend(run)
                run = [paragraph]
            box.extend(run)


def _runs(nodes):
    """Return nodes in groups: each block alone, inline ones together up to a block or two or more <br>, which are left out."""
    runs, breaks, joined = [], [], False
    for node in nodes:
        if node.name == "br":
            breaks.append(node)
        elif isinstance(node, str) and not node.strip() and (breaks or not joined):
            continue
        elif not _is_inline(node):
            runs.append([node])
            breaks, joined = [], False
        elif joined and len(breaks) < 2:
            runs[-1].extend([*breaks, node])
            breaks = []
        else:
            runs.append([node])
            breaks, joined = [], True
    return runs


def _is_inline(node):
    return isinstance(node, str) or node.name in INLINE


def blocks(body):
    """Return [(kind, text)] of trafilatura's tree in order. kind: p, head, quote, code, item, or row (its cells as "a | b").

    A <br> is a line end inside its block, two part it; every other white space is one space.
    """
    from lxml import etree
    found, kinds = [("p", [])], ["p"]
    for event, element in etree.iterwalk(body, events=("start", "end")):
        if element.tag in BOXES and not (element.tag == "code" and element.getparent().tag in ("p", "item", "head", "cell", "quote")):
            if event == "end":
                kinds.pop()
            elif element.tag in BLOCK_KINDS and kinds[-1] != "item":  # a paragraph of an item is the item's
                kinds.append(element.tag)
            else:
                kinds.append(kinds[-1])
            found.append((kinds[-1], []))
        elif event == "start" and element.tag in ("lb", "cell"):
            found[-1][1].append("\n" if element.tag == "lb" else " | ")
        text = (element.text if event == "start" else element.tail) or ""
        found[-1][1].append(text if kinds[-1] == "code" else re.sub(r"\s+", " ", text))
    return [(kind, text) for kind, parts in found for text in _paragraphs("".join(parts)) if WORD.search(text)]


def _paragraphs(text):
    """Return the paragraphs of a block, which two or more <br> part, their lines without white space around them."""
    lines = [clean(line).removeprefix("| ") for line in text.split("\n")]
    return re.split("\n{2,}", "\n".join(lines).strip("\n"))


def clean(text):
    """Return text on one line with single spaces and without lone surrogates, which no file can hold; "" for None."""
    return " ".join((text or "").encode("utf-8", "ignore").decode().split())


def words(text):
    """Return the words of a text as one casefolded line: how two texts are compared here."""
    return " ".join(WORD.findall(text.casefold()))


def without_page_talk(found, soup):
    """Return the blocks that are about the subject: not the headline again, not a link alone, not "read more", no heading over nothing."""
    titles = {words(tag.get_text()) for tag in soup.find_all(["h1", "title"])}
    titles |= {words(tag.get("content", "")) for tag in soup.find_all("meta", property="og:title")}
    anchors = soup.find_all("a", href=re.compile("^[^#]"))  # not those of a table of contents
    links = {words(tag.get_text()) for tag in anchors if not tag.find("a")}  # unclosed ones hold all that follows
    kept = []
    for kind, text in found:
        plain = words(text)
        goes_on = kept and kept[-1][0] == "p" and not SENTENCE_END.search(kept[-1][1])  # a link in a paragraph that was torn
        if (len(kept) < HEADLINE_BLOCKS and plain in titles) or (plain in links and not goes_on) or is_page_talk(text):
            continue
        kept.append((kind, text))
    while kept and kept[-1][0] == "head":
        kept.pop()
    return kept


def is_page_talk(text):
    """True for a short block that says what to click, whose the rights are or how long the reading takes."""
    return len(WORD.findall(text)) <= PAGE_TALK_WORDS and PAGE_TALK.search(text) is not None


def whole_article(kept, soup):
    """Return the blocks, or all paragraphs of the page's <article> where trafilatura took only one of its parts."""
    found = sum(len(WORD.findall(text)) for _, text in kept)
    for box in soup.find_all(["article", "main"]) + soup.find_all(attrs={"itemprop": "articleBody"}):
        texts = [("p", clean(tag.get_text())) for tag in box.find_all("p") if _is_prose(tag)]
        texts = [block for block in texts if not is_page_talk(block[1])]
        if sum(len(WORD.findall(text)) for _, text in texts) > MISSED * max(found, MIN_ARTICLE_WORDS):
            return texts
    return kept


def _is_prose(tag):
    """True for a paragraph that ends as a sentence does, is not mostly links and stands outside the boxes around an article."""
    text = tag.get_text()
    linked = sum(len(link.get_text()) for link in tag.find_all("a"))
    return (SENTENCE_END.search(text.strip()) is not None and linked < 0.5 * len(text)
            and not any(_is_beside(parent) for parent in tag.parents))


def _is_beside(tag):
    """True for a box that is no part of an article: by its name, or by what its author called it."""
    named = " ".join([*tag.get("class", ()), tag.get("id", "")])
    return tag.name in OUTSIDE or (tag.name not in ("html", "body") and NOT_ARTICLE.search(named) is not None)
