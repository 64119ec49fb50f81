"""Invented entries of the registry: persons, deeds, numbers and amounts."""

from collections.abc import Iterable
from datetime import date, timedelta

import numpy as np

LAST_DAY = date(2025, 6, 30)  # no deed is presented later


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
