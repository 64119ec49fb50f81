"""Pages of typewritten deeds."""

import textwrap
from collections.abc import Sequence

from scripts.samples.marks import LETTER, Mark, Rule, Size, Stamp, Text

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
