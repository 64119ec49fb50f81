"""Draws the sample documents, with the same bytes in every run.

    python scripts/make_samples.py             draws notaflow_pipeline/samples/ and its MANIFEST.json anew
    python scripts/make_samples.py --check     reads them back with Tesseract, and says what is not found
    python scripts/make_samples.py --check --only 770   ... only those whose file name holds `770`

The documents look like what the Quebec land registry keeps (indexes of immovables, deeds, ledgers, the ways in which
scans go wrong), and every person, company, notary, lot, number and amount in them is invented.

Beyond the project's own packages (Pillow, NumPy through pandas, pypdfium2) it needs these from Debian; the fonts only
leave their shapes in the pictures, and all of them are under the SIL Open Font License, which leaves documents made
with them free:

    apt-get install qpdf fonts-liberation fonts-courier-prime fonts-gnutypewriter \
        fonts-dancingscript fonts-kristi fonts-ecolier-court fonts-gfs-didot

The same bytes come out as long as Pillow, which brings its own FreeType and codecs, NumPy and qpdf stay the same.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pypdfium2
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps, ImageSequence

SEED = 20251010
SAMPLES = Path(__file__).resolve().parent.parent / "notaflow_pipeline" / "samples"
NOTE = "Fictitious: every person, company, lot, number and amount is invented."
LAST_DAY = date(2025, 6, 30)  # no deed is presented later
FIRST_EPOCH_MS = 1_760_112_000_000  # 2025-10-10, the day on which the project's partitions begin

# name -> (file, Debian package)
FONTS = {
    "sans": ("/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf", "fonts-liberation"),
    "sans-bold": ("/usr/share/fonts/truetype/liberation/LiberationSans-Bold.ttf", "fonts-liberation"),
    "serif": ("/usr/share/fonts/truetype/liberation/LiberationSerif-Regular.ttf", "fonts-liberation"),
    "serif-bold": ("/usr/share/fonts/truetype/liberation/LiberationSerif-Bold.ttf", "fonts-liberation"),
    "didot": ("/usr/share/fonts/opentype/didot/GFSDidot.otf", "fonts-gfs-didot"),
    "didot-bold": ("/usr/share/fonts/opentype/didot/GFSDidotBold.otf", "fonts-gfs-didot"),
    "typed": ("/usr/share/fonts/opentype/courier-prime/Courier Prime.otf", "fonts-courier-prime"),
    "typed-old": ("/usr/share/fonts/truetype/gnutypewriter/GNUTypewriter.ttf", "fonts-gnutypewriter"),
    "script": ("/usr/share/fonts/opentype/dancingscript/DancingScript-Regular.otf", "fonts-dancingscript"),
    "school": ("/usr/share/fonts/truetype/ecolier-court/Ecolier-court.ttf", "fonts-ecolier-court"),
    "pen": ("/usr/share/fonts/truetype/kristi/Kristi.ttf", "fonts-kristi"),
}
PDF_FONTS = {"sans": "Helvetica", "sans-bold": "Helvetica-Bold"}  # the same widths as Liberation Sans

LETTER = (612.0, 792.0)
LEGAL = (612.0, 1008.0)
TABLOID = (1224.0, 792.0)
Size = tuple[float, float]


# --- What stands on a page: marks in points from the top left corner, before anybody scanned it ---------------------


class Text(NamedTuple):
    """A run of characters; `baseline` is its y, `ink` runs from 0 (black) to 255 (paper)."""

    x: float
    baseline: float
    size: float
    font: str
    text: str
    ink: int = 0


class Rule(NamedTuple):
    """A straight line."""

    x0: float
    y0: float
    x1: float
    y1: float
    width: float = 0.6
    ink: int = 0


class Stamp(NamedTuple):
    """A rubber stamp, centred on (x, y) and set down by a hurried hand."""

    x: float
    y: float
    angle: float
    lines: tuple[str, ...]


Mark = Text | Rule | Stamp


@lru_cache(maxsize=256)
def font(name: str, size_pixels: float) -> ImageFont.FreeTypeFont:
    """Return the font `name` at a size in pixels."""
    return ImageFont.truetype(FONTS[name][0], size_pixels)


def width_of(text: str, name: str, size: float) -> float:
    """Return the width of `text` in the unit of `size`."""
    return font(name, 100).getlength(text) * size / 100


def fitted(x: float, baseline: float, room: float, size: float, name: str, text: str, ink: int = 0) -> Text:
    """Return `text` no larger than `size` and no wider than `room`."""
    natural = width_of(text, name, size)
    return Text(x, baseline, size * min(1.0, room / natural) if natural else size, name, text, ink)


def centred(page: Size, baseline: float, size: float, name: str, text: str) -> Text:
    """Return `text` in the middle of the page's width."""
    return Text((page[0] - width_of(text, name, size)) / 2, baseline, size, name, text)


def shifted(marks: Iterable[Mark], dx: float) -> Iterator[Mark]:
    """Move marks to the right, for the right half of a double page."""
    for mark in marks:
        if isinstance(mark, Rule):
            yield mark._replace(x0=mark.x0 + dx, x1=mark.x1 + dx)
        else:
            yield mark._replace(x=mark.x + dx)


# --- The invented registry -------------------------------------------------------------------------------------------

MEN = (
    "Adélard Anatole Célestin Damien Fabien Gédéon Honoré Isidore Léopold Maxime Napoléon Octave Rosaire Sylvain "
    "Victorin Wilfrid"
)
WOMEN = (
    "Alphonsine Bérengère Clémence Élodie Éloïse Florence Geneviève Hermine Jacinthe Lucille Mireille Noémie Philomène "
    "Thérèse Ursule Zoé"
)
SURNAMES = (
    "Aubrenoix Brisemaille Chantefroid Desruelles Égrenon Fauchenaud Grandpertuis Hautbrisson Jolibourg Lamorandelle "
    "Malvoisine Nerbonnel Ouvrardin Pierrefond Quenouillard Rochebelin Sansoucier Tréville Valcourtois Vertefeuil "
    "Boisjolain Clairambeau Duvernoix Montbrillard"
)
LENDERS = (
    "Caisse populaire de Val-Brumeux",
    "Banque Boréale de Laurentie",
    "Fiducie Tourmaline inc.",
    "Société de prêts Trois-Érables",
    "Prévoyance Saint-Aubrenoix",
)
# nature of the deed -> the two parties' qualities, whether the first is a lender, whether a price is written
DEEDS = {
    "Vente": ("Vendeur", "Acquéreur", False, True),
    "Hypothèque": ("Créancier", "Débiteur", True, True),
    "Quittance": ("Créancier", "Débiteur", True, False),
    "Servitude": ("Cédant", "Cessionnaire", False, False),
    "Déclaration de transmission": ("Défunt", "Héritier", False, False),
    "Donation": ("Donateur", "Donataire", False, False),
    "Mainlevée": ("Créancier", "Débiteur", True, False),
    "Renouvellement d'avis": ("Requérant", "Propriétaire", True, False),
}
OFTEN = ("Vente", "Hypothèque", "Quittance", "Vente", "Hypothèque", "Servitude", "Quittance")
ENGLISH = {
    "Vente": "Sale",
    "Hypothèque": "Hypothec",
    "Quittance": "Acquittance",
    "Servitude": "Servitude",
    "Déclaration de transmission": "Declaration of transmission",
    "Donation": "Gift",
    "Mainlevée": "Release",
    "Renouvellement d'avis": "Renewal of notice",
    "Vendeur": "Vendor",
    "Acquéreur": "Purchaser",
    "Créancier": "Creditor",
    "Débiteur": "Debtor",
    "Cédant": "Grantor",
    "Cessionnaire": "Grantee",
    "Défunt": "Deceased",
    "Héritier": "Heir",
    "Donateur": "Donor",
    "Donataire": "Donee",
    "Requérant": "Applicant",
    "Propriétaire": "Owner",
    "Radiée": "Cancelled",
}


def spaced(number: int) -> str:
    """Write a number as the registry does: `3 770 292`."""
    return f"{number:,}".replace(",", " ")


def amount(rng: np.random.Generator, year: int) -> str:
    """Invent an amount such as `75 000,00 $`, or the few hundred dollars that land cost before the war."""
    step = 25 if year < 1946 else 500 if year > 1975 else 125
    return f"{spaced(int(rng.integers(14, 900)) * step)},00 $"


def person(rng: np.random.Generator, first_names: str = f"{MEN} {WOMEN}") -> str:
    """Invent a person, surname first."""
    return f"{rng.choice(SURNAMES.split())}, {rng.choice(first_names.split())}"


def entries(rng: np.random.Generator, lines: int, first_day: date, first_number: int) -> list[tuple[str, ...]]:
    """Invent about `lines` lines of an index, two or three a deed, in the order of their presentation."""
    rows: list[tuple[str, ...]] = []
    day, number = first_day, first_number
    days_between = min(400, (LAST_DAY - first_day) * 4 // lines // timedelta(days=1))
    numbers_between = 90_000 if first_number > 10_000_000 else 900  # one register for the province, or one a district
    while len(rows) < lines:
        nature = str(rng.choice(list(DEEDS))) if rng.random() < 0.35 else str(rng.choice(OFTEN))
        giver, taker, lends, priced = DEEDS[nature]
        price = amount(rng, day.year) if priced else ""
        ended = "Radiée" if nature == "Hypothèque" and rng.random() < 0.5 else ""
        source = str(rng.choice(LENDERS)) if lends else person(rng)
        rows.append((spaced(number), day.isoformat(), nature, giver, source, price, ended))
        rows.extend(("", "", "", taker, person(rng), "", "") for _ in range(1 + int(rng.random() < 0.2)))
        day += timedelta(days=int(rng.integers(3, days_between)))
        number += int(rng.integers(numbers_between // 60, numbers_between))
    return rows[:lines]


def in_english(rows: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Translate an index's words, and write its amounts the English way."""
    translated = []
    for row in rows:
        cells = [ENGLISH.get(cell, cell) for cell in row]
        if cells[5]:
            cells[5] = "$" + cells[5].removesuffix(" $").replace(" ", ",").replace(",00", ".00").replace(".000", ",000")
        translated.append(tuple(cells))
    return translated


# --- Pages of tables ---------------------------------------------------------------------------------------------------

Columns = tuple[tuple[str, float], ...]
INDEX_COLUMNS: Columns = (
    ("Numéro\nd'inscription", 0.12),
    ("Date de\nprésentation", 0.115),
    ("Nature de l'acte", 0.205),
    ("Qualité", 0.12),
    ("Nom des parties", 0.245),
    ("Prix", 0.115),
    ("Radiation", 0.08),
)
ENGLISH_COLUMNS: Columns = (
    ("Registration\nnumber", 0.12),
    ("Date of\npresentation", 0.115),
    ("Nature of deed", 0.205),
    ("Quality", 0.12),
    ("Names of parties", 0.245),
    ("Price", 0.115),
    ("Cancelled", 0.08),
)
NAME_COLUMNS: Columns = (("Noms", 0.36), ("Nature de l'acte", 0.28), ("Date", 0.16), ("Numéro", 0.2))


@dataclass(frozen=True)
class Table:
    """How a page of a table is set: printed, typed or written by hand."""

    page: Size = LETTER
    columns: Columns = INDEX_COLUMNS
    heading: str = "sans-bold"
    label: str = "sans"
    hand: str = "sans"
    hand_size: float = 8.2
    row_height: float = 15.0
    ruled: bool = False
    ink: int = 0
    margin: float = 26.0
    title: str = "INDEX DES IMMEUBLES"
    over_title: str = "REGISTRE FONCIER DU QUÉBEC"
    page_word: str = "Page"


PRINTED = Table()
DENSE = Table(page=LEGAL, hand_size=8.0, row_height=13.2)
TYPED_TABLE = Table(page=LEGAL, heading="serif-bold", label="serif", hand="typed", hand_size=8.4, row_height=16.4)
LEDGER = Table(
    heading="didot-bold",
    label="didot",
    hand="script",
    hand_size=12.0,
    row_height=23,
    ruled=True,
    ink=40,
    over_title="BUREAU D'ENREGISTREMENT",
)
REGISTER = Table(
    heading="didot-bold",
    label="didot",
    hand="didot",
    hand_size=8.6,
    row_height=17,
    ruled=True,
    over_title="BUREAU D'ENREGISTREMENT",
)
ENGLISH_FORM = Table(
    columns=ENGLISH_COLUMNS,
    heading="serif-bold",
    label="serif",
    hand="serif",
    hand_size=8.8,
    title="INDEX OF IMMOVABLES",
    over_title="LAND REGISTER OF QUEBEC",
)


def fields_of(district: str, cadastre: str, lot: str) -> list[str]:
    """Return the lines above the table of a French index."""
    return [f"Circonscription foncière : {district}", f"Cadastre : {cadastre}", f"Lot : {lot}"]


def table_page(style: Table, fields: Sequence[str], rows: Sequence[tuple[str, ...]], foot: str) -> list[Mark]:
    """Set one page: titles, fields, column headings, rows and the rules between them."""
    width, height = style.page
    left, right = style.margin, width - style.margin
    marks: list[Mark] = [
        centred(style.page, 40, 9.5, style.label, style.over_title),
        centred(style.page, 62, 16, style.heading, style.title),
    ]
    marks += [Text(left, 86 + 15 * line, 11, style.label, words) for line, words in enumerate(fields)]
    top = 86 + 15 * len(fields)
    body = top + 30
    bottom = body + style.row_height * len(rows) + 5
    x = left
    for index, (label, share) in enumerate(style.columns):
        room = (right - left) * share
        for line, words in enumerate(label.split("\n")):
            marks.append(fitted(x + 3, top + 12 + 10 * line, room - 6, 8.2, style.heading, words))
        for line, row in enumerate(rows):
            if row[index]:
                baseline = body + style.row_height * (line + 0.75)
                marks.append(fitted(x + 3, baseline, room - 6, style.hand_size, style.hand, row[index], style.ink))
        marks.append(Rule(x, top, x, bottom))
        x += room
    marks += [Rule(left, y, right, y, 0.9) for y in (top, body, bottom)]
    marks.append(Rule(right, top, right, bottom))
    if style.ruled:
        lines = (body + style.row_height * line for line in range(1, len(rows)))
        marks += [Rule(left, y, right, y, 0.4, 110) for y in lines]
    marks.append(Text(left, height - 24, 8, style.label, foot))
    return marks


def table_pages(
    style: Table, fields: Sequence[str], rows: Sequence[tuple[str, ...]], lines_a_page: int
) -> list[list[Mark]]:
    """Set a table over as many pages as its rows need."""
    chunks = [rows[start : start + lines_a_page] for start in range(0, len(rows), lines_a_page)]
    return [
        table_page(style, fields, chunk, f"{style.page_word} {number} de {len(chunks)}")
        for number, chunk in enumerate(chunks, 1)
    ]


def double_page(fields: Sequence[str], rows: Sequence[tuple[str, ...]]) -> list[Mark]:
    """Set two pages of a register side by side, as an open book lies on the glass."""
    left, right = (table_page(REGISTER, fields, half, "") for half in (rows[:30], rows[30:]))
    return [*left, *shifted(right, LETTER[0])]


# --- Typewritten deeds ---------------------------------------------------------------------------------------------------

SALE = """\
^ACTE DE VENTE

L'AN DEUX MILLE QUATRE, le dix-septième jour du mois de juin (2004-06-17).

Devant Me {notary}, notaire à {town}, province de Québec,

COMPARAISSENT :

{seller}, mécanicien, demeurant au 1418, rue des Ormeaux, à {town}, ci-après nommé « LE VENDEUR » ;

ET : {buyer}, enseignante, demeurant au 27, chemin du Ruisseau, à {town}, ci-après nommée « L'ACHETEUR » ;

LESQUELS font entre eux les conventions suivantes, à savoir :

^DESCRIPTION DE L'IMMEUBLE

Un immeuble connu et désigné comme étant le lot numéro {lot} (cadastre : {cadastre}), dans la \
circonscription foncière {of_district}, avec bâtisse dessus construite portant le numéro 512 de la rue Principale, \
circonstances et dépendances.

^TITRE DE PROPRIÉTÉ

Le vendeur est propriétaire de l'immeuble pour l'avoir acquis aux termes d'un acte de vente reçu le 1987-03-09 et \
publié sous le numéro 412 806.

^GARANTIE

Cette vente est faite avec la garantie légale, libre de toute dette, priorité ou hypothèque, sauf l'hypothèque publiée \
sous le numéro 10 204 551, que le vendeur s'engage à faire radier à ses frais.

^POSSESSION

L'acheteur devient propriétaire de l'immeuble à compter de ce jour, avec possession et occupation immédiates.

^CHARGES

D'une telle vente, l'acheteur s'oblige à prendre l'immeuble dans l'état où il se trouve, à payer les impôts fonciers \
échus et à échoir à compter de ce jour, et à payer les frais et honoraires des présentes, de leur publicité et des \
copies pour toutes les parties.

^PRIX

Cette vente est faite pour le prix de {price}, que le vendeur reconnaît avoir reçu de l'acheteur, DONT QUITTANCE \
GÉNÉRALE ET FINALE.

^MENTIONS EXIGÉES PAR LA LOI

Le montant de la contrepartie est de {price}. Le montant du droit de mutation s'élève à la somme de 612,50 $.

DONT ACTE à {town}, sous le numéro deux mille trois cent quatre (2304) des minutes du notaire soussigné.

LECTURE FAITE, les parties signent en présence du notaire.
~{seller}
~{buyer}
~{notary}, notaire
"""
HYPOTHEC = """\
^ACTE D'HYPOTHÈQUE IMMOBILIÈRE

L'AN MIL NEUF CENT QUATRE-VINGT-SEIZE, le quatrième jour de novembre (1996-11-04).

DEVANT Me {notary}, notaire à {town}, province de Québec,

COMPARAISSENT :

{lender}, ayant son siège à {town}, représentée aux présentes par sa directrice dûment autorisée, ci-après nommée \
« LE CRÉANCIER » ;

ET : {buyer}, demeurant au 3305, rang Saint-Ovide, ci-après nommée « L'EMPRUNTEUR ».

^PRÊT

Le créancier prête à l'emprunteur la somme de {price}, remboursable par versements mensuels égaux et consécutifs de \
684,17 $, au taux de sept et demi pour cent (7,5 %) l'an, calculé semestriellement et non à l'avance.

^HYPOTHÈQUE

Pour garantir le remboursement du prêt, l'emprunteur hypothèque en faveur du créancier, pour la somme de {price} et pour \
une somme additionnelle égale à vingt pour cent (20 %) de ce montant, l'immeuble dont la désignation suit :

^DÉSIGNATION

Le lot numéro {lot} (cadastre : {cadastre}), circonscription foncière {of_district}, avec la maison y érigée.

^OBLIGATIONS DE L'EMPRUNTEUR

L'emprunteur s'oblige à assurer l'immeuble contre l'incendie, à acquitter les taxes et cotisations à leur échéance, et à \
remettre au créancier, sur demande, les pièces qui le prouvent.

DONT ACTE à {town}, sous le numéro 8817 des minutes du notaire soussigné.

LECTURE FAITE, les parties signent.
~{buyer}
~{notary}, notaire
"""
ACQUITTANCE = """\
^QUITTANCE

L'an mil neuf cent soixante et onze, le vingt-deuxième jour du mois de septembre (1971-09-22).

DEVANT Me {notary}, notaire à {town},

A COMPARU : {lender}, créancière,

LAQUELLE reconnaît avoir reçu de {buyer} la somme de {price}, solde en capital et intérêts d'une obligation enregistrée \
au bureau de la division d'enregistrement {of_district} sous le numéro 118 402.

DONT QUITTANCE GÉNÉRALE ET FINALE.

En conséquence, la créancière accorde MAINLEVÉE de l'hypothèque affectant le lot numéro {lot} (cadastre : {cadastre}), \
et consent à la radiation de tout droit en résultant.

DONT ACTE à {town}, sous le numéro 4096 des minutes.
~{notary}, notaire
"""
TRANSMISSION = """\
^DÉCLARATION DE TRANSMISSION

Le 1983-02-28, DEVANT Me {notary}, notaire à {town}, A COMPARU :

{buyer}, couturière, LAQUELLE déclare ce qui suit :

1. {seller} est décédé à {town} le 1982-10-30, sans avoir révoqué son testament fait devant notaire.

2. Aux termes de ce testament, il a institué la comparante sa seule légataire universelle.

3. La succession comprend un immeuble désigné comme étant le lot {lot} (cadastre : {cadastre}), \
circonscription foncière {of_district}, d'une valeur de {price}.

La comparante requiert le registrateur d'inscrire la présente déclaration.

DONT ACTE sous le numéro 731 des minutes du notaire soussigné.
~{buyer}
~{notary}, notaire
"""
ENGLISH_SALE = """\
^DEED OF SALE

ON THIS NINTH DAY OF MAY, nineteen hundred and fifty-eight (1958-05-09).

BEFORE {notary}, the undersigned Notary for the Province of Quebec, residing in the Village of {town},

APPEARED: {seller}, farmer, hereinafter called THE VENDOR,

WHO hereby sells, with legal warranty and free of all charges, unto {buyer}, widow, hereinafter called THE PURCHASER, \
the following immovable property:

^DESCRIPTION

That certain lot of land known and designated as lot number {lot} on the official cadastre of the {cadastre}, in the \
Registration Division of {district}, with the barn and dwelling thereon erected.

^PRICE

The present sale is made for the price of {price}, which the Vendor acknowledges to have received, WHEREOF QUIT.

WHEREOF ACTE, at {town}, under the number 1127 of the notary's minutes.
~{seller}
~{buyer}
"""


def typed_lines(template: str, words: dict[str, str], columns: int) -> list[str]:
    """Break a deed into the lines of a typewriter; `^` centres a title, `~` leaves room for a signature."""
    lines: list[str] = []
    for paragraph in template.format(**words).splitlines():
        if paragraph.startswith("^"):
            lines += [paragraph[1:].center(columns).rstrip()]
        elif paragraph.startswith("~"):
            lines += ["", "", paragraph]
        else:
            lines += textwrap.wrap(paragraph, columns) or [""]
    return lines


def typed_pages(
    lines: Sequence[str],
    *,
    hand: str = "typed",
    page: Size = LETTER,
    ink: int = 25,
    stamp: tuple[str, ...] = (),
    leading: float = 18.0,
) -> list[list[Mark]]:
    """Type a deed at ten characters an inch; the first page carries the stamp."""
    a_page = int((page[1] - 170) / leading)
    sheets = [lines[start : start + a_page] for start in range(0, len(lines), a_page)]
    pages = []
    for number, sheet in enumerate(sheets, 1):
        marks: list[Mark] = [Text(300, 46, 12, hand, f"- {number} -", ink)] if len(sheets) > 1 else []
        for row, line in enumerate(sheet):
            baseline = 104 + leading * row
            if line.startswith("~"):
                marks.append(Rule(80, baseline, 290, baseline, 0.5, ink))
                marks.append(Text(96, baseline - 3, 26, "pen", line[1:].split(",")[0], 30))
            elif line:
                marks.append(Text(80, baseline, 12, hand, line, ink))
        if number == 1 and stamp:
            marks.append(Stamp(500, 56, -6.0, stamp))
        pages.append(marks)
    return pages


# --- From marks to the picture that a scanner gives --------------------------------------------------------------------


def draw_typed(draw: ImageDraw.ImageDraw, mark: Text, dpi: int, rng: np.random.Generator) -> None:
    """Strike each character a little too high or low, through a ribbon that is not equally wet everywhere."""
    pixels = dpi / 72
    face = font(mark.font, mark.size * pixels)
    pitch = face.getlength("n")
    wave = rng.uniform(0, 6.28)
    for position, character in enumerate(mark.text):
        habit = (ord(character) * 7 % 5 - 2) * 0.16  # a bent type bar always strikes the same way
        y = mark.baseline + habit + rng.normal(0, 0.22)
        ribbon = 18 * math.sin(wave + position / 9) + rng.normal(0, 14)
        ink = int(np.clip(mark.ink + ribbon, 0, 200))
        draw.text((mark.x * pixels + position * pitch, y * pixels), character, font=face, fill=ink, anchor="ls")


def draw_written(draw: ImageDraw.ImageDraw, mark: Text, dpi: int, rng: np.random.Generator) -> None:
    """Write word by word, off the line, with a nib that needs dipping."""
    pixels = dpi / 72
    face = font(mark.font, round(mark.size * pixels * rng.uniform(0.95, 1.05), 1))
    x = mark.x * pixels
    for word in mark.text.split(" "):
        y = (mark.baseline + rng.normal(0, 0.7)) * pixels
        ink = int(np.clip(mark.ink + rng.normal(0, 22), 0, 150))
        draw.text((x, y), word, font=face, fill=ink, anchor="ls")
        x += face.getlength(word + " ") * rng.uniform(0.98, 1.08)


def press_stamp(image: Image.Image, stamp: Stamp, dpi: int, rng: np.random.Generator) -> None:
    """Press a stamp over whatever stands there, with patches that took no ink."""
    pixels = dpi / 72
    size = (int(150 * pixels), int((14 + 17 * len(stamp.lines)) * pixels))
    ink = Image.new("L", size, 0)
    draw = ImageDraw.Draw(ink)
    draw.rectangle((2, 2, size[0] - 3, size[1] - 3), outline=210, width=int(1.8 * pixels))
    for row, line in enumerate(stamp.lines):
        face = font("sans-bold", (15 if row == 0 else 9.5) * pixels)
        draw.text((size[0] / 2, (15 + 17 * row) * pixels), line, font=face, fill=200, anchor="mm")
    patches = Image.fromarray(rng.uniform(0.52, 1.5, (9, 24)).clip(0, 1).astype("float32")).resize(size)
    ink = Image.fromarray((np.asarray(ink) * np.asarray(patches)).astype("uint8"))
    ink = ink.rotate(-stamp.angle, expand=True, resample=Image.Resampling.BICUBIC)
    corner = (int(stamp.x * pixels - ink.width / 2), int(stamp.y * pixels - ink.height / 2))
    image.paste(30, corner, ink)


def on_paper(marks: Iterable[Mark], page: Size, dpi: int, rng: np.random.Generator) -> Image.Image:
    """Draw marks on a white sheet, in grey."""
    pixels = dpi / 72
    image = Image.new("L", (round(page[0] * pixels), round(page[1] * pixels)), 255)
    draw = ImageDraw.Draw(image)
    for mark in marks:
        if isinstance(mark, Stamp):
            press_stamp(image, mark, dpi, rng)
        elif isinstance(mark, Rule):
            ends = [value * pixels for value in mark[:4]]
            draw.line(ends, fill=mark.ink, width=max(1, round(mark.width * pixels)))
        elif mark.font.startswith("typed"):
            draw_typed(draw, mark, dpi, rng)
        elif mark.font in {"script", "school", "pen"}:
            draw_written(draw, mark, dpi, rng)
        else:
            face = font(mark.font, round(mark.size * pixels, 1))
            draw.text((mark.x * pixels, mark.baseline * pixels), mark.text, font=face, fill=mark.ink, anchor="ls")
    return image


# One thing each that goes wrong between the paper and the file. All take and return a grey image.
Fault = Callable[[Image.Image, np.random.Generator], Image.Image]


def grained(amount_of_grain: float = 26, blur: float = 0.7) -> Fault:
    """Soften the edges and roughen them again: what any scanner does."""

    def fault(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        soft = np.asarray(image.filter(ImageFilter.GaussianBlur(blur)), dtype="float32")
        grain = rng.normal(0, amount_of_grain, (image.height // 2 + 1, image.width // 2 + 1)).astype("float32")
        grain = grain.repeat(2, 0).repeat(2, 1)[: image.height, : image.width]
        return Image.fromarray((soft + grain).clip(0, 255).astype("uint8"))

    return fault


def skewed(degrees: float) -> Fault:
    """Lay the sheet askew."""

    def fault(image: Image.Image, rng: np.random.Generator) -> Image.Image:  # noqa: ARG001
        return image.rotate(degrees, resample=Image.Resampling.BICUBIC, fillcolor=255)

    return fault


def salt_and_pepper(share: float) -> Fault:
    """Turn single pixels black or white."""

    def fault(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        pixels = np.array(image)
        lot = rng.random(pixels.shape)
        pixels[lot < share / 2] = 0
        pixels[lot > 1 - share / 2] = 255
        return Image.fromarray(pixels)

    return fault


def speckled(specks: int) -> Fault:
    """Scatter dust of up to five pixels."""

    def fault(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        dusty = image.copy()
        draw = ImageDraw.Draw(dusty)
        for _ in range(specks):
            x, y, radius = rng.uniform(0, image.width), rng.uniform(0, image.height), rng.uniform(0.4, 2.2)
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=0)
        return dusty

    return fault


def dark_borders(share: float = 0.02) -> Fault:
    """Show the dark of the copier around a sheet that does not fill the glass."""

    def fault(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        pixels = np.array(image)
        for turn, factor in enumerate((1.0, 0.5, 0.4, 0.9)):
            side = np.rot90(pixels, turn)
            walk = np.cumsum(rng.normal(0, 0.35, side.shape[0]))
            depth = side.shape[1] * share * factor + walk - walk.mean()
            side[np.arange(side.shape[1])[None, :] < depth[:, None]] = 12
        return Image.fromarray(pixels)

    return fault


def faded(dark: int, light: int) -> Fault:
    """Squeeze black and white towards each other, on paper that has browned in patches."""

    def fault(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        patches = Image.fromarray(rng.normal(0, 5, (9, 7)).astype("float32"))
        tone = np.asarray(patches.resize(image.size, Image.Resampling.BICUBIC))
        grey = dark + np.asarray(image, dtype="float32") * (light - dark) / 255 + tone
        return Image.fromarray(grey.clip(0, 255).astype("uint8"))

    return fault


def gutter(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Darken the fold of an open book."""
    middle = image.width / 2 + rng.normal(0, 4)
    shade = 150 * np.exp(-np.abs(np.arange(image.width) - middle) / (image.width * 0.012))
    return Image.fromarray((np.asarray(image, dtype="float32") - shade).clip(0, 255).astype("uint8"))


def negative(image: Image.Image, rng: np.random.Generator) -> Image.Image:  # noqa: ARG001
    """White on black, as photostats came out of the bath."""
    return ImageOps.invert(image)


# --- Files ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scan:
    """A page that is a picture: one bit deep (fax compression), or grey JPEG when a quality is given."""

    image: Image.Image
    dpi: int
    jpeg_quality: int | None = None
    rotate: int = 0


@dataclass(frozen=True)
class Typeset:
    """A page of real text, without a picture."""

    marks: Sequence[Mark]
    page: Size


Page = Scan | Typeset


def one_bit(image: Image.Image) -> Image.Image:
    """Decide for each pixel whether it is ink."""
    return image.point(lambda value: 255 if value > 140 else 0).convert("1")


def jpeg(image: Image.Image, quality: int, dpi: int) -> bytes:
    """Compress a grey image."""
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality, dpi=(dpi, dpi), optimize=True)
    return out.getvalue()


def fax(image: Image.Image) -> bytes:
    """Compress a one-bit image as CCITT group 4, through the only strip of a TIFF file."""
    out = io.BytesIO()
    image.save(out, "TIFF", compression="group4", tiffinfo={278: image.height})
    with Image.open(out) as tiff:
        (start,), (length,) = tiff.tag_v2[273], tiff.tag_v2[279]
    return out.getvalue()[start : start + length]


class PdfFile:
    """Writes a PDF object by object; the catalog comes last, so half a file has none."""

    def __init__(self) -> None:
        self._objects: list[bytes] = [b""] * 2  # 1 is the catalog, 2 the page tree

    def add(self, body: str, stream: bytes | None = None) -> int:
        """Add an object, and return its number."""
        data = body.encode("ascii")
        if stream is not None:
            data = b"<< %s /Length %d >>\nstream\n%s\nendstream" % (data, len(stream), stream)
        self._objects.append(data)
        return len(self._objects)

    def add_scan(self, scan: Scan) -> int:
        """Add a page that shows one picture from edge to edge."""
        wide, high = scan.image.size
        common = f"/Type /XObject /Subtype /Image /Width {wide} /Height {high} /ColorSpace /DeviceGray"
        if scan.jpeg_quality is None:
            form = f"/BitsPerComponent 1 /Filter /CCITTFaxDecode /DecodeParms << /K -1 /BlackIs1 true /Columns {wide} "
            picture = self.add(f"{common} {form}/Rows {high} >>", fax(one_bit(scan.image)))
        else:
            form = "/BitsPerComponent 8 /Filter /DCTDecode"
            picture = self.add(f"{common} {form}", jpeg(scan.image, scan.jpeg_quality, scan.dpi))
        box = (wide * 72 / scan.dpi, high * 72 / scan.dpi)
        content = self.add("", f"q {box[0]:.2f} 0 0 {box[1]:.2f} 0 0 cm /P Do Q".encode("ascii"))
        return self._page(box, content, f"/XObject << /P {picture} 0 R >>", scan.rotate)

    def add_typeset(self, typeset: Typeset) -> int:
        """Add a page of Helvetica text and rules."""
        high = typeset.page[1]
        lines: list[bytes] = []
        for mark in typeset.marks:
            if isinstance(mark, Rule):
                x0, y0, x1, y1, width, _ = mark
                lines.append(f"{width} w {x0:.2f} {high - y0:.2f} m {x1:.2f} {high - y1:.2f} l S".encode("ascii"))
            elif isinstance(mark, Text):
                string = re.sub(rb"([()\\])", rb"\\\1", mark.text.encode("cp1252"))
                start = f"BT /{PDF_FONTS[mark.font]} {mark.size:.2f} Tf {mark.x:.2f} {high - mark.baseline:.2f} Td ("
                lines.append(start.encode("ascii") + string + b") Tj ET")
        content = self.add("/Filter /FlateDecode", zlib.compress(b"\n".join(lines), 9))
        fonts = " ".join(
            f"/{name} << /Type /Font /Subtype /Type1 /BaseFont /{name} /Encoding /WinAnsiEncoding >>"
            for name in PDF_FONTS.values()
        )
        return self._page(typeset.page, content, f"/Font << {fonts} >>", 0)

    def _page(self, box: Size, content: int, resources: str, rotate: int) -> int:
        return self.add(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {box[0]:.2f} {box[1]:.2f}] /Rotate {rotate} "
            f"/Contents {content} 0 R /Resources << {resources} >> >>"
        )

    def finished(self, pages: Sequence[int]) -> bytes:
        """Return the file's bytes."""
        kids = " ".join(f"{number} 0 R" for number in pages)
        self._objects[0] = b"<< /Type /Catalog /Pages 2 0 R >>"
        self._objects[1] = f"<< /Type /Pages /Count {len(pages)} /Kids [{kids}] >>".encode("ascii")
        out = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
        offsets: dict[int, int] = {}
        for number in (*range(3, len(self._objects) + 1), 2, 1):
            offsets[number] = len(out)
            out += b"%d 0 obj\n%s\nendobj\n" % (number, self._objects[number - 1])
        table_at = len(out)
        out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(offsets) + 1)
        for number in sorted(offsets):
            out += b"%010d 00000 n \n" % offsets[number]
        out += b"trailer\n<< /Size %d /Root 1 0 R >>\n" % (len(offsets) + 1)
        return bytes(out + b"startxref\n%d\n%%%%EOF\n" % table_at)


def pdf(pages: Sequence[Page]) -> bytes:
    """Bind pages into a PDF."""
    file = PdfFile()
    numbers = [file.add_scan(page) if isinstance(page, Scan) else file.add_typeset(page) for page in pages]
    return file.finished(numbers)


def tiff(pages: Sequence[Page]) -> bytes:
    """Bind scans into a multi-page fax TIFF."""
    out = io.BytesIO()
    first, *rest = [one_bit(page.image) for page in pages if isinstance(page, Scan)]
    dpi = next(page.dpi for page in pages if isinstance(page, Scan))
    first.save(out, "TIFF", compression="group4", save_all=True, append_images=rest, dpi=(dpi, dpi))
    return out.getvalue()


def png(pages: Sequence[Page]) -> bytes:
    """Save the only page as a one-bit PNG."""
    (page,) = (page for page in pages if isinstance(page, Scan))
    out = io.BytesIO()
    one_bit(page.image).save(out, "PNG", dpi=(page.dpi, page.dpi), optimize=True)
    return out.getvalue()


def lone_jpeg(pages: Sequence[Page]) -> bytes:
    """Save the only page as a grey JPEG."""
    (page,) = (page for page in pages if isinstance(page, Scan))
    return jpeg(page.image, page.jpeg_quality or 30, page.dpi)


def encrypted(user_password: str) -> Callable[[Sequence[Page]], bytes]:
    """Bind pages into a PDF that opens only with `user_password`; an empty one restricts without locking."""

    def bind(pages: Sequence[Page]) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            plain, locked = Path(folder, "plain.pdf"), Path(folder, "locked.pdf")
            plain.write_bytes(pdf(pages))
            passwords = ["--encrypt", user_password, "proprietaire", "128", "--use-aes=y", "--print=none", "--"]
            repeatable = ["--static-id", "--static-aes-iv"]
            subprocess.run(["qpdf", *repeatable, *passwords, str(plain), str(locked)], check=True)
            return locked.read_bytes()

    return bind


def cut_in_half(pages: Sequence[Page]) -> bytes:
    """Stop the download half-way: no catalog, no cross-reference table."""
    whole = pdf(pages)
    return whole[: len(whole) // 2]


def error_page(pages: Sequence[Page]) -> bytes:  # noqa: ARG001
    """Answer like a web server whose session ran out."""
    return (
        "<!DOCTYPE html>\n<html lang=fr><head><meta charset=utf-8><title>Session expirée</title></head>\n"
        "<body><h1>Erreur 503</h1><p>Votre session est expirée. Veuillez recommencer la recherche.</p></body></html>\n"
    ).encode()


def nothing(pages: Sequence[Page]) -> bytes:  # noqa: ARG001
    """Write no byte at all."""
    return b""


# --- The documents ---------------------------------------------------------------------------------------------------------

QUEBEC = "Cadastre du Québec"
STAMP = ("INSCRIT", "2004-06-21 à 09:42", "No 11 435 208")


@dataclass(frozen=True)
class Sample:
    """One document: where it belongs, how it is drawn, and what a fair reader finds in it."""

    number: str
    district: str
    cadastre: str
    description: str
    draw: Callable[[Sample, np.random.Generator], list[Page]]
    must_contain: Sequence[str] = ()
    bind: Callable[[Sequence[Page]], bytes] = pdf
    suffix: str = "pdf"
    source: str = "index"
    acte_type: str | None = None
    expect: str = "done"
    found_when_turned: Sequence[str] = field(default=())

    @property
    def fields(self) -> list[str]:
        """The lines above an index of this lot."""
        return fields_of(self.district, self.cadastre, self.number)

    def file_name(self, position: int) -> str:
        """Name the file as the extraction stage does."""
        stem = "-".join((self.number, self.district, self.cadastre, str(FIRST_EPOCH_MS + position * 86_461_357)))
        return f"{re.sub('[^A-Za-z0-9_-]', '_', stem)}.{self.suffix}"


Draw = Callable[[Sample, np.random.Generator], list[Page]]


def scans(
    sheets: Iterable[Sequence[Mark]],
    page: Size,
    dpi: int,
    rng: np.random.Generator,
    *faults: Fault,
    jpeg_quality: int | None = None,
) -> list[Page]:
    """Draw sheets and let every fault in turn happen to them."""
    pages: list[Page] = []
    for marks in sheets:
        image = on_paper(marks, page, dpi, rng)
        for fault in faults:
            image = fault(image, rng)
        pages.append(Scan(image, dpi, jpeg_quality))
    return pages


def index_of(
    lines: int,
    *faults: Fault,
    style: Table = PRINTED,
    lines_a_page: int = 38,
    dpi: int = 300,
    since: date = date(2001, 11, 12),
    from_number: int = 10_118_204,
    jpeg_quality: int | None = None,
) -> Draw:
    """Return what draws an index of immovables of `lines` lines."""

    def draw(sample: Sample, rng: np.random.Generator) -> list[Page]:
        rows = entries(rng, lines, since, from_number)
        sheets = table_pages(style, sample.fields, rows, lines_a_page)
        return scans(sheets, style.page, dpi, rng, *(faults or (grained(),)), jpeg_quality=jpeg_quality)

    return draw


def deed(
    template: str,
    *faults: Fault,
    hand: str = "typed",
    ink: int = 25,
    stamp: tuple[str, ...] = STAMP,
    dpi: int = 200,
    jpeg_quality: int | None = None,
    price: str = "75 000,00 $",
    columns: int = 62,
    page: Size = LETTER,
) -> Draw:
    """Return what draws a typewritten deed."""

    def draw(sample: Sample, rng: np.random.Generator) -> list[Page]:
        names = [" ".join(reversed(person(rng, first).split(", "))) for first in (MEN, MEN, WOMEN)]
        words = dict(zip(("notary", "seller", "buyer"), names, strict=True))
        words |= {"lender": str(rng.choice(LENDERS)), "price": price, "town": "Val-Brumeux"}
        words |= {"lot": sample.number, "district": sample.district, "cadastre": sample.cadastre}
        words["of_district"] = ("d'" if sample.district[0] in "AEIOUÉ" else "de ") + sample.district
        lines = typed_lines(template, words, columns)
        if hand == "typed-old":  # its type basket has no guillemets
            lines = [line.replace("« ", '"').replace(" »", '"') for line in lines]
        sheets = typed_pages(lines, hand=hand, ink=ink, stamp=stamp, page=page)
        return scans(sheets, page, dpi, rng, *(faults or (grained(),)), jpeg_quality=jpeg_quality)

    return draw


def turned_by_the_file(draw: Draw) -> Draw:
    """Store the pages lying on their side, with the file saying how to turn them back."""
    return lambda sample, rng: [
        Scan(page.image.transpose(Image.Transpose.ROTATE_90), page.dpi, page.jpeg_quality, rotate=90)
        for page in draw(sample, rng)
        if isinstance(page, Scan)
    ]


def turned_in_pixels(draw: Draw) -> Draw:
    """Store the pages lying on their side, and say nothing."""
    return lambda sample, rng: [
        Scan(page.image.transpose(Image.Transpose.ROTATE_90), page.dpi, page.jpeg_quality)
        for page in draw(sample, rng)
        if isinstance(page, Scan)
    ]


def draw_double_page(sample: Sample, rng: np.random.Generator) -> list[Page]:
    """An open register, photographed in one picture."""
    rows = entries(rng, 60, date(1921, 5, 3), 14_208)
    sheet = double_page(sample.fields, rows)
    return scans([sheet], TABLOID, 200, rng, gutter, grained(3), faded(20, 232), jpeg_quality=16)


def draw_names(sample: Sample, rng: np.random.Generator) -> list[Page]:
    """A page of the index of names, printed long ago."""
    style = Table(
        columns=NAME_COLUMNS,
        heading="didot-bold",
        label="didot",
        hand="didot",
        hand_size=10,
        row_height=19,
        ruled=True,
        title="INDEX AUX NOMS",
        over_title="DIVISION D'ENREGISTREMENT",
    )
    rows = [(row[4], row[2] or "Idem", row[1], row[0]) for row in entries(rng, 31, date(1948, 1, 12), 40_117)]
    fields = [f"Circonscription foncière : {sample.district}", "Lettre : M"]
    return scans(table_pages(style, fields, rows, 31), LETTER, 300, rng, skewed(-0.7), grained(34, 0.9))


def draw_english(sample: Sample, rng: np.random.Generator) -> list[Page]:
    """An index on the English form."""
    rows = in_english(entries(rng, 34, date(2002, 8, 4), 10_244_310))
    fields = [
        f"Registration division: {sample.district}",
        f"Cadastre: {sample.cadastre}",
        f"Lot number: {sample.number}",
    ]
    return scans(table_pages(ENGLISH_FORM, fields, rows, 34), LETTER, 300, rng, grained())


def draw_text_layer(sample: Sample, rng: np.random.Generator) -> list[Page]:
    """Two pages as a computer wrote them."""
    rows = entries(rng, 70, date(2006, 2, 14), 13_020_118)
    return [Typeset(marks, LETTER) for marks in table_pages(PRINTED, sample.fields, rows, 38)]


def draw_mixed(sample: Sample, rng: np.random.Generator) -> list[Page]:
    """A page of real text, then the scan of an older one."""
    modern = entries(rng, 30, date(2009, 6, 22), 16_201_944)
    older = index_of(26, style=TYPED_TABLE, lines_a_page=42, dpi=200, since=date(1962, 4, 2), from_number=81_336)
    return [Typeset(table_page(PRINTED, sample.fields, modern, "Page 1 de 2"), LETTER), *older(sample, rng)]


def draw_blank(sample: Sample, rng: np.random.Generator) -> list[Page]:  # noqa: ARG001
    """The back of a sheet: paper, and nothing else."""
    return scans([[]], LETTER, 200, rng, faded(0, 236), jpeg_quality=30)


def draw_blank_between(sample: Sample, rng: np.random.Generator) -> list[Page]:
    """Two pages of an index, and the back of the first between them."""
    first, second = index_of(50, lines_a_page=38, dpi=200)(sample, rng)
    (blank,) = scans([[]], LETTER, 200, rng)
    return [first, blank, second]


def draw_nothing(sample: Sample, rng: np.random.Generator) -> list[Page]:  # noqa: ARG001
    """For files that are no document."""
    return []


INDEX_TITLE = "INDEX DES IMMEUBLES"
DOCUMENTS = (
    Sample(
        "3 770 292",
        "Montréal",
        QUEBEC,
        "Printed index of immovables, clean scan, 300 dpi",
        index_of(104),
        (INDEX_TITLE, "Montréal", "3 770 292", "2001-11-12", "10 118 204", "82 500,00 $", "Page 3 de 3"),
    ),
    Sample(
        "2 784 195",
        "Laval",
        QUEBEC,
        "Long printed index, sixty lines a legal-size page, 200 dpi",
        index_of(464, style=DENSE, lines_a_page=60, dpi=200),
        (INDEX_TITLE, "Laval", "2 784 195", "Hypothèque", "2001-11-12", "10 118 204"),
    ),
    Sample(
        "1358-176",
        "Québec",
        "Paroisse de Beauport",
        "Printed index laid 2 degrees askew, 300 dpi",
        index_of(36, skewed(2.0), grained()),
        (INDEX_TITLE, "1358-176", "Paroisse de Beauport", "2001-11-12", "10 118 204"),
    ),
    Sample(
        "4 112 087",
        "Sherbrooke",
        QUEBEC,
        "Printed index with salt-and-pepper noise, 200 dpi",
        index_of(66, grained(), salt_and_pepper(0.006), dpi=200, lines_a_page=34),
        (INDEX_TITLE, "4 112 087", "Sherbrooke", "2001-11-12", "10 118 204"),
    ),
    Sample(
        "1 925 634",
        "Chambly",
        QUEBEC,
        "Printed index with dark scan borders and dust, 300 dpi",
        index_of(38, skewed(-0.6), speckled(900), grained(), dark_borders()),
        (INDEX_TITLE, "1 925 634", "Chambly", "2001-11-12", "10 118 204"),
    ),
    Sample(
        "5 230 418",
        "Trois-Rivières",
        QUEBEC,
        "Printed index of very low contrast, grey JPEG, 200 dpi",
        index_of(34, grained(5), faded(150, 205), dpi=200, jpeg_quality=30),
        (INDEX_TITLE, "5 230 418", "Trois-Rivières", "2001-11-12", "10 118 204"),
    ),
    Sample(
        "212",
        "Kamouraska",
        "Paroisse de Saint-André",
        "Handwritten ledger on a printed, ruled form, two grey pages",
        index_of(
            50,
            skewed(0.4),
            grained(4),
            faded(45, 222),
            style=LEDGER,
            lines_a_page=25,
            dpi=200,
            since=date(1894, 6, 2),
            from_number=8_117,
            jpeg_quality=18,
        ),
        (INDEX_TITLE, "Kamouraska"),
    ),
    Sample(
        "87-3",
        "Rimouski",
        "Paroisse de Sainte-Luce",
        "Old printed register with ruled lines, coarse one-bit copy",
        index_of(
            34,
            skewed(-0.5),
            grained(30, 0.9),
            style=REGISTER,
            lines_a_page=34,
            since=date(1931, 2, 9),
            from_number=21_004,
        ),
        (INDEX_TITLE, "Rimouski", "1931-02-09"),
    ),
    Sample(
        "445",
        "Terrebonne",
        "Paroisse de Sainte-Thérèse",
        "Landscape double page of a ruled register, shadow in the fold",
        draw_double_page,
        (INDEX_TITLE, "Terrebonne", "1921-05-03"),
    ),
    Sample(
        "6 018 553",
        "Hull",
        QUEBEC,
        "Printed index stored on its side, put upright by /Rotate",
        turned_by_the_file(index_of(38)),
        (INDEX_TITLE, "6 018 553", "Hull", "2001-11-12", "10 118 204"),
    ),
    Sample(
        "2 340 771",
        "Joliette",
        QUEBEC,
        "Printed index turned by 90 degrees in its pixels; readable only to a reader that turns pages",
        turned_in_pixels(index_of(38)),
        found_when_turned=(INDEX_TITLE, "Joliette", "2001-11-12", "10 118 204"),
    ),
    Sample(
        "733-12",
        "Arthabaska",
        "Canton de Warwick",
        "Photostat negative of a typewritten acquittance, white on black",
        deed(ACQUITTANCE, grained(), negative, stamp=(), price="4 250,00 $"),
        ("QUITTANCE", "733-12", "4 250,00 $", "1971-09-22"),
        acte_type="Quittance",
    ),
    Sample(
        "3 145 926",
        "Québec",
        QUEBEC,
        "Typewritten deed of sale with a stamp, one-bit",
        deed(SALE),
        ("ACTE DE VENTE", "3 145 926", "75 000,00 $", "2004-06-17"),
        acte_type="Vente",
    ),
    Sample(
        "1 604 338",
        "Lévis",
        QUEBEC,
        "Typewritten hypothec from an older machine, grey JPEG, stamped",
        deed(
            HYPOTHEC,
            grained(5),
            faded(25, 228),
            hand="typed-old",
            stamp=("INSCRIT", "1996-11-08 à 14:05", "No 402 117"),
            jpeg_quality=22,
            price="92 500,00 $",
        ),
        ("INSCRIT", "HYPOTHÈQUE", "1 604 338", "92 500,00 $", "1996-11-04"),
        acte_type="Hypothèque",
    ),
    Sample(
        "519",
        "Drummond",
        "Canton de Grantham",
        "Typewritten acquittance, worn-out ribbon, 300 dpi one-bit",
        deed(ACQUITTANCE, grained(30, 0.6), ink=105, stamp=("INSCRIT", "1971-09-29"), dpi=300, price="11 800,00 $"),
        ("QUITTANCE", "1971-09-22", "118 402"),
        acte_type="Quittance",
    ),
    Sample(
        "660-44",
        "Richelieu",
        "Paroisse de Saint-Pierre",
        "Index typed into a printed form, legal size, 200 dpi",
        index_of(
            48,
            skewed(0.5),
            grained(),
            style=TYPED_TABLE,
            lines_a_page=48,
            dpi=200,
            since=date(1957, 7, 1),
            from_number=61_077,
        ),
        (INDEX_TITLE, "660-44", "Richelieu", "1957-07-01", "61 077"),
    ),
    Sample(
        "94-2",
        "Beauce",
        "Paroisse de Saint-Elzéar",
        "Typewritten declaration of transmission, crooked and dusty",
        deed(
            TRANSMISSION, skewed(-1.1), speckled(250), grained(), stamp=("INSCRIT", "1983-03-04"), price="38 000,00 $"
        ),
        ("TRANSMISSION", "1983-02-28", "38 000,00 $"),
        acte_type="Déclaration de transmission",
    ),
    Sample(
        "M",
        "Portneuf",
        "Index aux noms",
        "Old printed index of names, ruled lines",
        draw_names,
        ("INDEX AUX NOMS", "Portneuf", "1948-01-12"),
    ),
    Sample(
        "4 667 120",
        "Saint-Hyacinthe",
        QUEBEC,
        "Printed index as a multi-page fax TIFF",
        index_of(90, dpi=200, lines_a_page=34),
        (INDEX_TITLE, "4 667 120", "Saint-Hyacinthe", "Page 3 de 3", "10 118 204"),
        bind=tiff,
        suffix="tif",
    ),
    Sample(
        "5 811 946",
        "Chicoutimi",
        QUEBEC,
        "Printed index as a one-bit PNG",
        index_of(30, dpi=200),
        (INDEX_TITLE, "5 811 946", "Chicoutimi", "2001-11-12", "10 118 204"),
        bind=png,
        suffix="png",
    ),
    Sample(
        "1 077 465",
        "Charlevoix",
        QUEBEC,
        "Printed index as a grey JPEG",
        index_of(28, grained(4), faded(20, 240), dpi=200, jpeg_quality=20),
        (INDEX_TITLE, "1 077 465", "Charlevoix", "2001-11-12", "10 118 204"),
        bind=lone_jpeg,
        suffix="jpg",
    ),
    Sample(
        "6 402 219",
        "Montréal",
        QUEBEC,
        "Index with a real text layer and no picture",
        draw_text_layer,
        (INDEX_TITLE, "6 402 219", "2006-02-14", "13 020 118", "Page 2 de 2"),
    ),
    Sample(
        "2 958 301",
        "Laval",
        QUEBEC,
        "Mixed: a page with a text layer, then the scan of a typed page",
        draw_mixed,
        (INDEX_TITLE, "2 958 301", "2009-06-22", "16 201 944"),
    ),
    Sample(
        "3 512 760",
        "Pontiac",
        "Cadastre of Quebec",
        "English form of the index, 300 dpi",
        draw_english,
        ("INDEX OF IMMOVABLES", "3 512 760", "Pontiac", "2002-08-04"),
    ),
    Sample(
        "28A",
        "Brome",
        "Township of Brome",
        "English typewritten deed of sale",
        deed(ENGLISH_SALE, hand="typed-old", stamp=("REGISTERED", "1958-05-14", "No 88 207"), price="$6,400.00"),
        ("DEED OF SALE", "1958-05-09", "$6,400.00"),
        acte_type="Vente",
    ),
    Sample("4 000 017", "Nicolet", QUEBEC, "A blank page; its text is empty", draw_blank),
    Sample(
        "3 226 604",
        "Berthier",
        QUEBEC,
        "A blank page between two pages of an index",
        draw_blank_between,
        (INDEX_TITLE, "3 226 604", "Berthier", "Page 2 de 2", "2001-11-12", "10 118 204"),
    ),
    Sample(
        "5 097 338",
        "Matane",
        QUEBEC,
        "Protected against printing, but opens without a password",
        index_of(24, dpi=200),
        (INDEX_TITLE, "5 097 338", "Matane", "2001-11-12", "10 118 204"),
        bind=encrypted(""),
    ),
    Sample(
        "3 881 470",
        "Shefford",
        QUEBEC,
        "Needs a password (`secret`) to open",
        index_of(24, dpi=200),
        bind=encrypted("secret"),
        expect="encrypted",
    ),
    Sample(
        "2 611 905",
        "Bellechasse",
        QUEBEC,
        "A download that stopped half-way",
        index_of(24, dpi=200),
        bind=cut_in_half,
        expect="corrupt",
    ),
    Sample(
        "1 450 226",
        "Montmagny",
        QUEBEC,
        "A web server's error page saved as .pdf",
        draw_nothing,
        bind=error_page,
        expect="not_a_document",
    ),
    Sample("4 390 712", "Gaspé", QUEBEC, "A file of zero bytes", draw_nothing, bind=nothing, expect="empty_file"),
    Sample(
        "11 435 208",
        "Québec",
        QUEBEC,
        "A deed of sale from the source of deeds, which is not read by default",
        deed(SALE, price="142 000,00 $"),
        ("ACTE DE VENTE", "142 000,00 $"),
        source="acte",
        acte_type="Vente",
    ),
    Sample(
        "402 117",
        "Lévis",
        QUEBEC,
        "A hypothec from the source of deeds, which is not read by default",
        deed(HYPOTHEC, price="58 000,00 $", stamp=("INSCRIT", "1996-11-08")),
        ("HYPOTHÈQUE", "58 000,00 $"),
        source="acte",
        acte_type="Hypothèque",
    ),
)


def make(folder: Path) -> None:
    """Draw every document into `folder`, and write the manifest beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    listed = folder / "MANIFEST.json"
    earlier = json.loads(listed.read_text(encoding="utf-8")) if listed.exists() else []
    manifest = []
    for position, sample in enumerate(DOCUMENTS, 1):
        pages = sample.draw(sample, np.random.default_rng([SEED, position]))
        name = sample.file_name(position)
        (folder / name).write_bytes(sample.bind(pages))
        entry = {
            "file": name,
            "document_number": sample.number,
            "document_source": sample.source,
            "circonscription_fonciere": sample.district,
            "cadastre": sample.cadastre,
            "acte_type": sample.acte_type,
            "description": sample.description,
            "pages": len(pages),
            "expect": sample.expect,
            "must_contain": list(sample.must_contain),
            "note": NOTE,
        }
        if sample.found_when_turned:
            entry["found_when_turned"] = list(sample.found_when_turned)
        manifest.append(entry)
        print(f"{(folder / name).stat().st_size:>9,} bytes  {len(pages)} p.  {name}")
    text = json.dumps(manifest, ensure_ascii=False, indent=2) + "\n"
    listed.write_text(text, encoding="utf-8")
    for name in {entry["file"] for entry in earlier} - {entry["file"] for entry in manifest}:
        (folder / name).unlink(missing_ok=True)
    print(f"{sum(file.stat().st_size for file in folder.iterdir()):>9,} bytes in {len(DOCUMENTS)} documents")


# --- Reading them back -----------------------------------------------------------------------------------------------------


def pictures(path: Path) -> Iterator[Image.Image]:
    """Render each page in grey at 300 dpi."""
    if path.suffix == ".pdf":
        document = pypdfium2.PdfDocument(path)
        for page in document:
            yield page.render(scale=300 / 72, grayscale=True).to_pil()
    else:
        with Image.open(path) as image:
            for frame in ImageSequence.Iterator(image):
                scale = 300 / frame.info["dpi"][0]
                yield ImageOps.scale(frame.convert("L"), float(scale))


def read(path: Path, turn: int = 0) -> str:
    """Return the text that Tesseract finds on pages turned clockwise, each run of white space as one space."""
    words: list[str] = []
    for image in pictures(path):
        out = io.BytesIO()
        image.rotate(-turn, expand=True).save(out, "PNG", dpi=(300, 300), compress_level=1)
        command = ["tesseract", "-", "-", "-l", "fra+eng"]
        one_thread = os.environ | {"OMP_THREAD_LIMIT": "1"}
        done = subprocess.run(command, input=out.getvalue(), capture_output=True, check=True, env=one_thread)
        words += done.stdout.decode("utf-8").split()
    return " ".join(words)


def verdict(folder: Path, entry: dict[str, Any]) -> tuple[bool, str]:
    """Say whether a document does what the manifest promises."""
    path = folder / entry["file"]
    kind = entry["expect"]
    if kind in {"encrypted", "corrupt"}:
        try:
            pypdfium2.PdfDocument(path)
        except pypdfium2.PdfiumError as error:
            return ("password" in str(error).lower()) == (kind == "encrypted"), str(error)
        return False, "opens"
    if kind != "done":
        return path.stat().st_size == 0 or b"<html" in path.read_bytes(), kind
    text = read(path)
    if entry["pages"] == 1 and "blank page;" in entry["description"]:
        return not text, f"{len(text)} characters, none expected"
    missing = [words for words in entry["must_contain"] if words not in text]
    wanted = len(entry["must_contain"])
    if turned := entry.get("found_when_turned"):
        text = read(path, 90)
        missing += [words for words in turned if words not in text]
        wanted += len(turned)
    words = f"{len(text)} characters, {wanted - len(missing)} of {wanted} found"
    return not missing, words + (f", missing {missing}" if missing else "")


def check(folder: Path, only: str) -> bool:
    """Read every document back, print a table, and return whether all went well."""
    listed = json.loads((folder / "MANIFEST.json").read_text(encoding="utf-8"))
    chosen = [entry for entry in listed if only in entry["file"]]
    with ThreadPoolExecutor(2) as pool:
        results = pool.map(lambda entry: verdict(folder, entry), chosen)
        outcomes = []
        for entry, (good, words) in zip(chosen, results, strict=True):
            print(
                f"{'ok ' if good else 'BAD'}  {entry['document_number']:<11} {entry['description'][:58]:<58}  {words}"
            )
            outcomes.append(good)
    return all(outcomes)


def main() -> int:
    """Draw, or check what was drawn."""
    parser = argparse.ArgumentParser(description="Makes the sample documents.")
    parser.add_argument("--check", action="store_true", help="read the documents back instead of drawing them")
    parser.add_argument("--only", default="", help="with --check: part of a file name")
    parser.add_argument("--folder", type=Path, default=SAMPLES, help="where the documents lie")
    wanted = parser.parse_args()
    if wanted.check:
        return 0 if check(wanted.folder, wanted.only) else 1
    lacking = sorted({package for path, package in FONTS.values() if not Path(path).exists()})
    if not shutil.which("qpdf"):
        lacking.append("qpdf")
    if lacking:
        print(f"Something is lacking: apt-get install {' '.join(lacking)}", file=sys.stderr)
        return 1
    make(wanted.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
