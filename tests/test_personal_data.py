"""Data of private persons: planted ones are found, look-alikes with a wrong checksum or another meaning are not. All invented."""
import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import luhn

from weatherman.corpus.personal_data import CHECKS, find_personal_data


@pytest.mark.parametrize("text, kind", [
    ("Write to ann.pell@example.org today", "email"), ("ann [at] example [dot] org", "email"), ("Flour @ 5 cents a pound", None),
    ("posted by @ann_pell yesterday", "handle"), ("thanks to u/river_pilot", "handle"), ("and/or w/o you/me", None), ("50 @ 3", None),
    ("from 203.0.114.7 at noon", "ip_address"), ("at 192.168.0.1", None), ("section 1.2.3.4.5", None), ("256.1.1.1", None),
    ("version 4.0.3.1", None), ("seen at 2a00:1450:4001:0830:0000:0000:0000:200e", "ip_address"), ("at 12:30:45", None),
    ("card 4111 1111 1111 1111 please", "card"), ("card 4111 1111 1111 1112 please", None), ("card 378282246310005", "card"),
    ("paid $4111111111111111", None), ("4,111,111,111,111,111 fish", None), ("0000 0000 0000 0000", None),
    ("to GB82 WEST 1234 5698 7654 32", "iban"), ("to GB82 WEST 1234 5698 7654 33", None), ("Flight BA12 FROM 2345 MILES", None),
    ("number 536-90-4399", "ssn"), ("number 000-12-3456", None), ("number 666-12-3456", None), ("number 078-05-1120", None),
    ("call (415) 867-2671 now", "telephone"), ("call 415-867-2671", "telephone"), ("call +44 20 7946 8958", "telephone"),
    ("call 1-800-356-9377", None), ("call 1-800-FLOWERS", None), ("call 555-1234", None), ("pages 123-456-7890", None),
    ("lives at 12 Elm Street, Salem, MA 01970", "street_address"), ("lives at 12 Elm Street in Salem", None),
    ("from 1876 to 1910", None), ("a population of 1,234,567 in 1880", None), ("barometer 29.92, thermometer 98.6", None),
    ("Chapter 12, pages 100-120", None), ("$20,000.00 in gold", None), ("on 12-25-1880", None), ("1845-1850, 1861-1865", None),
    ("", None), ("No digit, no sign.", None)])
def test_planted_and_look_alike(text, kind):
    assert find_personal_data(text) == kind


@given(st.from_regex(r"4[0-9]{14}", fullmatch=True))
def test_a_card_is_found_with_its_checksum_and_with_no_other(digits):
    right = luhn.calc_check_digit(digits)
    if len(set(digits + right)) > 1:
        assert find_personal_data(f"pay {digits}{right} now") == "card"
    for wrong in set(string.digits) - {right}:
        assert find_personal_data(f"pay {digits}{wrong} now") is None


def test_years_prices_and_pages_of_a_whole_almanac():
    rng = random.Random(1)
    lines = [f"In {rng.randint(1600, 1999)} the crop was {rng.randint(1, 10**7):,} bushels at ${rng.randint(1, 99)}.25; "
             f"see pp. {rng.randint(1, 500)}-{rng.randint(501, 999)}, table {rng.randint(1, 20)}.{rng.randint(1, 9)}." for _ in range(300)]
    assert find_personal_data("\n".join(lines)) is None


@given(st.text(max_size=200))
def test_any_text_is_answered(text):
    assert find_personal_data(text) in {None, *CHECKS}
