"""Characters and markup: by hand, and with hypothesis that nothing forbidden survives whatever it is wrapped in."""
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weatherman.corpus.hygiene import CONTROL, CONTROL_TOKEN, INVISIBLE, clean_text, repair_mojibake


@pytest.mark.parametrize("raw, clean", [
    ("_so_ it _was_, and snake_case", "so it was, and snake_case"), ("the _Times_'s and _boy_s", "the Times's and boys"),
    ("misch_ee_vous; in_ter._ So", "mischeevous; inter. So"), ("gentle_men!_ Hear", "gentlemen! Hear"),
    ("(_aside_) _Oh!_--no", "(aside) Oh!--no"),
    ("_it goes on", "it goes on"), ("and ends here._", "and ends here."), ("__bold__", "bold"),
    ("=bold= +gesperrt+ ~Small Caps~", "bold gesperrt Small Caps"), ("y^e olde 4^{th} M^r H_{2}O", "ye olde 4th Mr H2O"),
    ("<i>so</i> he <br>went &amp; came", "so he went & came"), ("H<sub>2</sub>O", "H2O")])
def test_markup_is_unwrapped(raw, clean):
    assert clean_text(raw) == clean


@pytest.mark.parametrize("text", [
    "Mr. ____ of J___ Street", "x = y and a=b=c", "2 + 2 + 2", "~10 or ~20", "2^10", "a < b and c > d", "snake_case and a_b_c_d",
    "&c. and R&D;", "[He laughs.] {so}", "a | b", "[s] and (s)", "#1 of 3", "1/2 */ 3", "B*** and d--n"])
def test_what_only_looks_like_markup_stays(text):
    assert clean_text(text) == text


@pytest.mark.parametrize("raw, clean", [
    ("a\u00adb\u200bc\u202ed\ufeff\u2066e\U000e0041", "abcde"), ("cafe\u0301", "café"),
    ("tab\there\x0c and\x00 there", "tab here and there"),
    ("a\u2028b\u00a0c\u0085d", "a b c d"), ("one \n  two", "one\ntwo"), ("", "")])
def test_characters(raw, clean):
    assert clean_text(raw) == clean


TOKENS = ["<|im_start|>", "<|eot_id|>", "[INST]", "[/INST]", "<s>", "</s>", "<<SYS>>", "<</SYS>>", "<|begin_of_text|>",
          "<start_of_turn>", "<｜begin▁of▁sentence｜>", "[TOOL_CALLS]", "[gMASK]", "<think>", "</tool_call>", "<unk>", "<fim_prefix>",
          "<0x0A>",
          "<extra_id_0>", "<|reserved_special_token_5|>", "[AVAILABLE_TOOLS]", "<bos>"]


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize("hide", [
    str, lambda t: t[:2] + "\u200b" + t[2:], lambda t: t[:2] + "<|x|>" + t[2:], lambda t: t[:1] + "[INST]" + t[1:],
    lambda t: t[:1] + t + t[1:], lambda t: t.replace("<", "&lt;").replace(">", "&gt;"), lambda t: t.replace("[", "&#91;"),
    lambda t: t[:1] + "_" + t[1:-1] + "_" + t[-1:], lambda t: t[:3] + "\u00ad" + t[3:], lambda t: t[:1] + "<i>" + t[1:],
    lambda t: t.replace("<", "&amp;lt;"), lambda t: t.upper()])
def test_control_tokens_are_removed_however_they_are_hidden(token, hide):
    text = clean_text(f"before {hide(token)} behind")
    assert not CONTROL_TOKEN.search(text)
    assert text.split()[0] == "before" and text.split()[-1] == "behind" and token.lower() not in text.lower()


PARTS = st.sampled_from([*TOKENS, "<|", "|>", "[", "]", "INST", "<", ">", "_", "=", "&lt;", "&#60;", "&amp;", "\u200b", "\u00ad",
                         "im_start", "s", "/", "word", " ", "\n", "e\u0301", "é", "\x00", "^", "{", "}", "<i>",
                         "—"])


@given(st.lists(PARTS, max_size=25).map("".join))
def test_nothing_forbidden_survives_and_cleaning_twice_changes_nothing(raw):
    text = clean_text(raw)
    for pattern in (CONTROL_TOKEN, INVISIBLE, CONTROL, re.compile(r"  | \n|\n ")):
        assert not pattern.search(text)
    assert unicodedata.is_normalized("NFC", text) and clean_text(text) == text


@given(st.text(st.characters(categories=["L", "N", "P"], exclude_characters="_<>[]&=+~^{}*"), max_size=60))
def test_plain_words_come_back_in_nfc(raw):
    assert clean_text(raw) == unicodedata.normalize("NFC", raw)


def test_quotes_are_straightened_on_request_only():
    text = "“So,” he said, ‘it’s «here»’"
    assert clean_text(text) == text and clean_text(text, straight_quotes=True) == "\"So,\" he said, 'it's \"here\"'"


def test_mojibake_is_repaired_by_its_own_function_only():
    damaged = "donâ€™t say â€œcafÃ©â€\x9d"
    assert "â€™" in clean_text(damaged) and repair_mojibake(damaged) == "don’t say “café”"
    assert repair_mojibake("Mr. Ångström’s “café”") == "Mr. Ångström’s “café”"
