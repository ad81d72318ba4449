"""Texts written for the corpus tests: small books in every shape that Project Gutenberg has used."""
import random
import textwrap

PARAGRAPH = ("The river rose in the night and took the lower fence with it. Old Mr. Pell said that he had\n"
             "expected as much, and that a fence which could not swim had no business so near the water.")
HEADER = """The Project Gutenberg EBook of A River Year, by Ann Pell

This eBook is for the use of anyone anywhere at no cost and with
almost no restrictions whatsoever.

Title: A River Year
       or, The Lower Fence

Author: Ann Pell (Mrs. Pell)

Release Date: August 20, 2006 [EBook #7]

Language: English

Character set encoding: UTF-8

"""
LICENSE = "Produced by Nobody\n\n*** START: FULL LICENSE ***\n\nTHE FULL PROJECT GUTENBERG LICENSE\nPlease donate to the Foundation.\n"


WHO = ["the ferryman", "my aunt", "a tin peddler", "the schoolmaster", "old Mr. Pell", "the deacon's wife", "a stranger"]
DID = ["measured", "cursed", "sold", "painted", "mistook", "forgave", "counted", "buried"]
WHAT = ["the lower fence", "a barrel of flour", "the new barometer", "his neighbour's mule", "every cloud in sight", "nine wet umbrellas"]
WHEN = ["before the storm came up", "in a year without frost", "while the choir was singing", "for want of better weather", "on a Tuesday"]


def prose(words=220, first="Sentence"):
    """Return about `words` words of English in paragraphs of three sentences, wrapped at 60 characters; always the same."""
    choice, sentences, count = random.Random(first), [], 0
    while count < words:
        sentences.append(f"{first} number {len(sentences) + 1} tells how {choice.choice(WHO)} {choice.choice(DID)} {choice.choice(WHAT)} "
                         f"{choice.choice(WHEN)}.")
        count += len(sentences[-1].split())
    groups = [" ".join(sentences[i:i + 3]) for i in range(0, len(sentences), 3)]
    return "\n\n".join(textwrap.fill(group, 60) for group in groups)


def book(body=None, header=HEADER, title="A RIVER YEAR"):
    """Return a book of the present layout as text."""
    return (f"{header}*** START OF THIS PROJECT GUTENBERG EBOOK {title} ***\n\n\nProduced by Nobody\n\n\nCHAPTER I.\n\n"
            f"{prose(900) if body is None else body}\n\nEnd of the Project Gutenberg EBook of {title}\n\n"
            f"*** END OF THIS PROJECT GUTENBERG EBOOK {title} ***\n\n{LICENSE}")


RDF = """<?xml version="1.0" encoding="utf-8"?>
<rdf:RDF xmlns:dcterms="http://purl.org/dc/terms/" xmlns:pgterms="http://www.gutenberg.org/2009/pgterms/"
         xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <pgterms:ebook rdf:about="ebooks/7"><dcterms:title>{title}</dcterms:title>
    <dcterms:creator><pgterms:agent><pgterms:name>{author}</pgterms:name></pgterms:agent></dcterms:creator>
    <dcterms:language><rdf:Description><rdf:value>{language}</rdf:value></rdf:Description></dcterms:language>
    <dcterms:rights>{rights}</dcterms:rights></pgterms:ebook></rdf:RDF>
"""
