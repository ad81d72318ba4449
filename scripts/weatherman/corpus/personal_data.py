"""Whether a text holds data of a private person: addresses, numbers and accounts, with their checksums where they have one.

A text with such data is rejected, not masked: a mask such as [PHONE] would be learnt and written by the model.
"""
import ipaddress
import re

DOT = r"(?:\.|\s?[\[(]dot[\])]\s?)"
EMAIL = re.compile(rf"[\w.+-]+\s?(?:@|[\[(]at[\])])\s?[\w-]+(?:{DOT}[\w-]+)*{DOT}[a-z]{{2,}}\b", re.I)
HANDLE = re.compile(r"(?<![\w/@.])@[a-z_]\w{2,29}\b|(?<![\w/.])/?u/[\w-]{3,20}(?![\w/])", re.I)
IPV4 = re.compile(r"(?<![\w.$-])(?<!version )(?<!v)\d{1,3}(?:\.\d{1,3}){3}(?![\w-]|\.\d)", re.I)
IPV6 = re.compile(r"(?<![\w:])(?:[0-9a-f]{1,4}:){2,7}(?::|[0-9a-f]{1,4})(?::?[0-9a-f]{1,4}){0,5}(?![\w:])", re.I)
CARD = re.compile(r"(?<![\d.,$£€-])(?:[2-6]\d{3}(?:[ -]?\d{4}){2}[ -]?\d{1,7}|3[47]\d{2}[ -]?\d{6}[ -]?\d{5})(?![\d,]|\.\d)")
CARD_LENGTHS = {"34": (15,), "37": (15,), "4": (13, 16, 19), "6": (16, 19), "5": (16,), "2": (16,), "35": (16,)}  # ISO/IEC 7812 issuers
IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
SSN = re.compile(r"(?<![\d-])\d{3}-\d{2}-\d{4}(?![\d-])")
PHONE = re.compile(r"\+\d[\d ().-]{7,}\d|(?<![\d.,$-])(?:1[ .-])?\(?\d{3}\)?[ .-]{1,2}\d{3}[ .-]\d{4}(?!\d)"
                   r"|(?<![\d.,$-])\(?0\d{2,4}\)?[ -]\d{3,4}[ -]?\d{3,4}(?!\d)")
PHONE_REGIONS = ("US", "GB")  # of numbers without their country's code
STREET = re.compile(
    r"\b\d{1,5} (?:[NSEW]\.? )?(?:[A-Z][a-z]+\.? ){1,3}(?:Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Way)\b\.?"
    r"(?:,? (?:Apt|Suite|Unit|#)\.? ?\w+)?,? (?:[A-Z][a-z]+ ?){1,3},? [A-Z]{2},? \d{5}(?:-\d{4})?\b")


def find_personal_data(text):
    """Return what a text holds: email, handle, ip_address, card, iban, ssn, telephone or street_address; None for none."""
    if ANY.search(text) is None:
        return None
    return next((kind for kind, (cue, found) in CHECKS.items() if cue.search(text) and found(text)), None)


def has_ip_address(text):
    """True for an address of the public internet; 10.0.0.1 is in everybody's house."""
    return any(is_public_ip(match[0]) for pattern in (IPV4, IPV6) for match in pattern.finditer(text))


def is_public_ip(text):
    try:
        return ipaddress.ip_address(text).is_global
    except ValueError:
        return False


def has_card(text):
    """True for the number of a payment card: an issuer's first digits, its length, and the Luhn checksum."""
    return any(is_card(re.sub(r"[ -]", "", match[0])) for match in CARD.finditer(text))


def is_card(digits):
    from stdnum import luhn
    lengths = CARD_LENGTHS.get(digits[:2]) or CARD_LENGTHS.get(digits[0], ())
    return len(digits) in lengths and luhn.is_valid(digits) and len(set(digits)) > 1


def has_iban(text):
    """True for an account number whose country, length and checksum (ISO 13616, mod 97) fit."""
    for match in IBAN.finditer(text):
        from stdnum import iban
        if iban.is_valid(match[0]):
            return True
    return False


def has_ssn(text):
    """True for a US social security number that can have been issued."""
    for match in SSN.finditer(text):
        from stdnum.us import ssn
        if ssn.is_valid(match[0]):
            return True
    return False


def has_telephone(text):
    """True for a valid number of a private line; 555 numbers are fiction and 1-800 numbers belong to firms."""
    if PHONE.search(text) is None:
        return False
    from phonenumbers import PhoneNumberMatcher, PhoneNumberType, number_type
    private = {PhoneNumberType.FIXED_LINE, PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE, PhoneNumberType.VOIP,
               PhoneNumberType.PERSONAL_NUMBER}
    return any(number_type(found.number) in private for region in PHONE_REGIONS for match in PHONE.finditer(text)
               for found in PhoneNumberMatcher(match[0], region))


ANY = re.compile(r"[\d@]|[\[(]at[\])]|u/|::", re.I)  # most texts hold none of it, so nothing below is tried
AT, DIGITS = re.compile(r"@|[\[(]at[\])]|u/", re.I), re.compile(r"\d{3}[ .)-]*\d")
CHECKS = {  # kind: (cue without which it cannot be there, a cheap search; the check)
    "email": (AT, EMAIL.search), "handle": (AT, HANDLE.search), "ip_address": (re.compile(r"\d\.\d|::|\d:\w+:"), has_ip_address),
    "card": (DIGITS, has_card), "iban": (re.compile(r"[A-Z]{2}\d\d"), has_iban), "ssn": (re.compile(r"-\d\d-\d"), has_ssn),
    "telephone": (DIGITS, has_telephone), "street_address": (re.compile(r"[A-Z]{2},? \d{5}"), STREET.search)}
