"""The texts of the page in French and in English."""

from notaflow_pipeline.reporting.report.translations import Translation

TEXTS = {
    "document": Translation("Document", "Document"),
    "image": Translation("Image", "Image"),
    "as_read": Translation("telle que lue", "as read"),
    "as_scanned": Translation("telle que numérisée", "as scanned"),
    "private": Translation(
        "Page privée\N{NO-BREAK SPACE}: elle contient le texte d’un document. Elle est supprimée après un jour.",
        "Private page: it holds the text of a document. It is removed after a day.",
    ),
    "read_now": Translation(
        "Relu le {moment} par {engine} pour cette page; rien n’a été changé dans la file.",
        "Read again on {moment} by {engine} for this page; nothing in the queue was changed.",
    ),
    "pages_shown": Translation("Pages {first} à {last} de {pages}.", "Pages {first} to {last} of {pages}."),
    "page_shown": Translation("Page {first} de {pages}.", "Page {first} of {pages}."),
    "same": Translation(
        "Le texte enregistré est celui qui est lu maintenant.", "The stored text is the same as what is read now."
    ),
    "differs": Translation(
        "Le texte enregistré diffère de ce qui est lu maintenant; les pages concernées le disent.",
        "The stored text differs from what is read now; the pages concerned say so.",
    ),
    "stored_by": Translation("Il a été lu par {engine}.", "It was read by {engine}."),
    "none_stored": Translation(
        "Aucun texte n’est enregistré pour ce document.", "No text is stored for this document."
    ),
    "unmarked": Translation(
        "Le texte enregistré n’indique pas ses pages et vient d’un autre programme. Le voici en entier.",
        "The stored text does not mark its pages and is another program’s. Here is all of it.",
    ),
    "page_differs": Translation(
        "Le texte enregistré de cette page diffère\N{NO-BREAK SPACE}:", "The stored text of this page differs:"
    ),
    "page_missing": Translation(
        "Le texte enregistré n’a pas cette page, ou elle y est vide.",
        "The stored text lacks this page, or it is empty there.",
    ),
    "unsure": Translation("mot peu sûr (confiance sous {limit})", "unsure word (confidence below {limit})"),
    "unread": Translation("encre dont aucun mot ne rend compte", "ink that no word accounts for"),
    "hint": Translation(
        "Un mot touché, ou un mot peu sûr atteint avec la touche Tab, est montré dans l’image et dans le texte.",
        "A word that is touched, or an unsure word that is reached with the Tab key, is shown in the image and in the text.",
    ),
    "recognised": Translation("reconnue par OCR", "recognised by OCR"),
    "text layer": Translation("couche de texte du PDF, sans OCR", "text layer of the PDF, no OCR"),
    "blank": Translation("page vide", "blank page"),
    "failed": Translation("page non lue", "page not read"),
    "partly_layer": Translation("en partie couche de texte du PDF", "partly text layer of the PDF"),
    "damaged": Translation("une partie est endommagée", "part of it is damaged"),
    "words": Translation("{count} mots", "{count} words"),
    "word": Translation("1 mot", "1 word"),
    "confidence": Translation("confiance {value}", "confidence {value}"),
    "coverage": Translation("couverture {value}", "coverage {value}"),
    "unsure_words": Translation("{count} mots peu sûrs", "{count} unsure words"),
    "unsure_word": Translation("1 mot peu sûr", "1 unsure word"),
    "unread_places": Translation("{count} endroits non lus", "{count} unread places"),
    "unread_place": Translation("1 endroit non lu", "1 unread place"),
    "part": Translation(
        "Partie de la page que la couche de texte ne dit pas, ou tampon, lue à part",
        "Part of the page that its text layer does not say, or stamp, read by itself",
    ),
    "unused_part": Translation(
        "Partie de la page qui n’a pas été prise pour du texte", "Part of the page that was not taken for text"
    ),
    "no_image": Translation("Il n’y a pas d’image de cette page.", "There is no image of this page."),
    "no_text": Translation("Rien n’a été lu sur cette page.", "Nothing was read on this page."),
    "attempts": Translation("Tentatives", "Attempts"),
    "no_attempts": Translation("Ce document n’a encore aucune tentative.", "This document has no attempt yet."),
    "attempt": Translation("Tentative", "Attempt"),
    "outcome": Translation("Issue", "Outcome"),
    "claimed": Translation("Commencée", "Started"),
    "pages": Translation("Pages", "Pages"),
    "confidence_column": Translation("Confiance", "Confidence"),
    "coverage_column": Translation("Couverture", "Coverage"),
    "engine": Translation("Moteur", "Engine"),
    "error": Translation("Erreur", "Error"),
    "succeeded": Translation("réussie", "succeeded"),
    "attempt_failed": Translation("échouée", "failed"),
    "stuck": Translation("bloquée", "stuck"),
    "released": Translation("rendue", "released"),
    "superseded": Translation("remplacée", "superseded"),
    "active": Translation("en cours", "active"),
}
