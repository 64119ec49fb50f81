"""What the page says, in French and in English, side by side so that neither can lack what the other has.

What does not belong here: how numbers and dates are written (`locale_format`).
"""

from typing import NamedTuple

from notaflow_pipeline.reporting.locale_format import Language


class Translation(NamedTuple):
    """The same in both languages."""

    fr: str
    en: str


TEXTS = {
    "title": Translation("Lecture des documents", "Document reading"),
    "subtitle": Translation(
        "Ce que devient chaque document du registre foncier en attente de lecture.",
        "What becomes of every land-registry document that waits to be read.",
    ),
    "period": Translation("Du {since} au {until}", "{since} to {until}"),
    "written": Translation("Mis à jour le {moment} ({timezone})", "Updated {moment} ({timezone})"),
    "language": Translation("Langue", "Language"),
    "days": Translation("Période affichée", "Days shown"),
    "last_days": Translation("{count} jours", "{count} days"),
    "every_day": Translation("Tout", "All"),
    "source": Translation("Documents", "Documents"),
    "charts_days": Translation("Période des graphiques\N{NO-BREAK SPACE}:", "Days in the charts:"),
    "charts_source": Translation("Documents\N{NO-BREAK SPACE}:", "Documents:"),
    "all": Translation("tous", "all"),
    "index": Translation("index", "index"),
    "acte": Translation("actes", "deeds"),
    "no_data": Translation(
        "Aucun document n’a été traité pendant cette période. Les graphiques apparaîtront dès le premier document lu.",
        "No document was processed in this period. The charts appear with the first document read.",
    ),
    "no_script": Translation(
        "Les graphiques demandent JavaScript; les tableaux ci-dessous disent la même chose.",
        "The charts need JavaScript; the tables below say the same.",
    ),
    # the queue
    "now": Translation("La file en ce moment", "The queue now"),
    "ready": Translation("Prêts", "Ready"),
    "ready_note": Translation("attendent un lecteur libre", "wait for a free worker"),
    "active": Translation("En lecture", "Active"),
    "active_note": Translation("sont lus en ce moment", "are being read"),
    "stuck": Translation("Bloqués", "Stuck"),
    "stuck_note": Translation("leur lecteur ne répond plus", "their worker is gone"),
    "backing_off": Translation("En pause", "Backing off"),
    "backing_off_note": Translation("seront réessayés plus tard", "will be tried again later"),
    "exhausted": Translation("Abandonnés", "Exhausted"),
    "exhausted_note": Translation("toutes les tentatives ont échoué", "every attempt failed"),
    "done": Translation("Lus", "Done"),
    "done_note": Translation("leur texte est enregistré", "their text is stored"),
    "oldest": Translation("Plus ancien", "Oldest"),
    "oldest_note": Translation("attend depuis son dernier changement", "has waited since it last changed"),
    "nothing_waits": Translation("rien n’attend", "nothing waits"),
    "attention": Translation("À regarder", "Needs a look"),
    # the period
    "totals": Translation("Pendant la période", "In this period"),
    "documents_read": Translation("Documents lus", "Documents read"),
    "documents_read_note": Translation("Pages\N{NO-BREAK SPACE}: {pages}", "Pages: {pages}"),
    "failed_attempts": Translation("Tentatives échouées", "Failed attempts"),
    "failed_attempts_note": Translation(
        "{failed} sur {attempts}; intervalle à 95\N{NO-BREAK SPACE}%\N{NO-BREAK SPACE}: {low} à {high}",
        "{failed} of {attempts}; 95% interval: {low} to {high}",
    ),
    "no_attempts_note": Translation("aucune tentative", "no attempt"),
    "given_up": Translation("Documents abandonnés", "Documents exhausted"),
    "given_up_note": Translation("après leur dernière tentative", "after their last attempt"),
    "confidence": Translation("Confiance moyenne", "Mean confidence"),
    "confidence_note": Translation("sur 100; peu sûrs\N{NO-BREAK SPACE}: {low}", "of 100; unsure: {low}"),
    "coverage": Translation("Couverture moyenne", "Mean coverage"),
    "coverage_note": Translation("lacunes possibles\N{NO-BREAK SPACE}: {low}", "with possible gaps: {low}"),
    # the charts
    "throughput_title": Translation("Documents lus par jour", "Documents read per day"),
    "throughput_text": Translation(
        "Chaque barre compte les documents dont le texte a été enregistré ce jour-là.",
        "Each bar counts the documents whose text was stored that day.",
    ),
    "wait_title": Translation("Attente avant la lecture", "Wait before reading"),
    "wait_text": Translation(
        "Du moment où un document pouvait être lu à celui où il l’a été. La moitié attend moins que la médiane; "
        "95\N{NO-BREAK SPACE}% attendent moins que la ligne tiretée.",
        "From the moment a document could be read until it was taken up. Half wait less than the median; 95% wait less "
        "than the dashed line.",
    ),
    "duration_title": Translation("Durée de lecture", "Reading time"),
    "duration_text": Translation(
        "De la prise en charge d’un document à l’enregistrement de son texte.",
        "From taking up a document to storing its text.",
    ),
    "failure_rate_title": Translation("Taux d’échec des tentatives", "Failure rate of attempts"),
    "failure_rate_text": Translation(
        "La ligne est la part observée; la bande est l’intervalle de confiance à 95\N{NO-BREAK SPACE}% (Wilson), "
        "large quand il y a peu de tentatives.",
        "The line is the observed share; the band is the 95% confidence interval (Wilson), wide when attempts are few.",
    ),
    "kinds_title": Translation("Échecs par cause", "Failures by kind"),
    "kinds_text": Translation(
        "Tentatives échouées de chaque jour, selon ce qui n’allait pas.",
        "Each day’s failed attempts, by what was wrong.",
    ),
    "confidence_title": Translation("Confiance de la reconnaissance", "Recognition confidence"),
    "confidence_text": Translation(
        "Moyenne des mots reconnus, de 0 à 100. Une baisse annonce des numérisations plus difficiles. La couverture est "
        "la part de l’encre d’une page dont les mots rendent compte; celle d’un document est la plus basse de ses pages.",
        "Mean over recognised words, 0 to 100. A drop tells of harder scans. Coverage is the share of a page’s ink that "
        "its words account for; a document has the lowest of its pages.",
    ),
    "attempts_title": Translation("Tentatives par jour", "Attempts per day"),
    "attempts_text": Translation(
        "Ce que sont devenues les tentatives terminées ce jour-là.",
        "What became of the attempts that ended that day.",
    ),
    # columns, axes, legends
    "day": Translation("Jour", "Day"),
    "documents": Translation("Documents", "Documents"),
    "pages": Translation("Pages", "Pages"),
    "pages_per_minute": Translation("Pages par minute", "Pages per minute"),
    "p50": Translation("Médiane", "Median"),
    "p95": Translation("95e centile", "95th percentile"),
    "rate": Translation("Taux d’échec", "Failure rate"),
    "interval": Translation("Intervalle à 95\N{NO-BREAK SPACE}%", "95% interval"),
    "low": Translation("Intervalle, bas", "Interval, low"),
    "high": Translation("Intervalle, haut", "Interval, high"),
    "mean_confidence": Translation("Confiance", "Confidence"),
    "low_confidence_documents": Translation("Documents peu sûrs", "Unsure documents"),
    "mean_coverage": Translation("Couverture", "Coverage"),
    "low_coverage_documents": Translation("Documents à lacunes possibles", "Documents with possible gaps"),
    "attempts": Translation("Tentatives", "Attempts"),
    "attempts_avg": Translation("Tentatives par document", "Attempts per document"),
    "succeeded": Translation("Réussies", "Succeeded"),
    "attempts_failed": Translation("Échouées", "Failed"),
    "attempts_stuck": Translation("Bloquées", "Stuck"),
    "outcome": Translation("Issue", "Outcome"),
    "kind": Translation("Cause", "Kind"),
    "share": Translation("Part", "Share"),
    "other": Translation("autres causes", "other kinds"),
    "table": Translation("Les mêmes chiffres en tableau", "The same figures as a table"),
    # single documents
    "failing_title": Translation("Documents qui échouent le plus", "Documents that fail most"),
    "unsure_title": Translation("Documents les moins sûrs", "Least confident documents"),
    "documents_since": Translation("Depuis le {since}.", "Since {since}."),
    "none_failed": Translation("Aucune tentative n’a échoué.", "No attempt failed."),
    "none_failing": Translation("Aucun document n’a échoué.", "No document failed."),
    "none_unsure": Translation("Aucun document n’a été lu.", "No document was read."),
    "number": Translation("Numéro", "Number"),
    "failures": Translation("Échecs", "Failures"),
    "last_kind": Translation("Dernière cause", "Last kind"),
    "last_failed": Translation("Dernier échec", "Last failure"),
    "state": Translation("Aujourd’hui", "By now"),
    "read_at": Translation("Lu", "Read"),
    "state_read": Translation("lu depuis", "read since"),
    "state_active": Translation("en lecture", "active"),
    "state_exhausted": Translation("abandonné", "exhausted"),
    "state_waiting": Translation("attend un nouvel essai", "waits for another try"),
    "state_gone": Translation("retiré de la file", "gone from the queue"),
    "footer": Translation(
        "« notaflow show NUMÉRO » donne l’histoire d’un document; « notaflow retry » renvoie les documents abandonnés.",
        "“notaflow show NUMBER” has a document’s history; “notaflow retry” sends exhausted documents round again.",
    ),
}

KINDS = {
    "empty_file": Translation("fichier vide", "empty file"),
    "not_a_document": Translation("pas un document", "not a document"),
    "unsupported": Translation("format non pris en charge", "unsupported format"),
    "encrypted": Translation("chiffré", "encrypted"),
    "corrupt": Translation("endommagé", "corrupt"),
    "no_pages": Translation("sans pages", "no pages"),
    "too_large": Translation("trop volumineux", "too large"),
    "too_many_pages": Translation("trop de pages", "too many pages"),
    "out_of_memory": Translation("mémoire insuffisante", "out of memory"),
    "timeout": Translation("délai dépassé", "timeout"),
    "crashed": Translation("arrêt du lecteur", "crashed"),
    "engine": Translation("erreur du moteur", "engine error"),
    "not_found": Translation("introuvable", "not found"),
    "refused_location": Translation("emplacement refusé", "refused location"),
    "no_space": Translation("espace temporaire insuffisant", "no temporary space"),
    "refused_by_database": Translation("refusé par la base", "refused by database"),
    "storage": Translation("stockage indisponible", "storage failure"),
    "no_lease": Translation("pris par un autre programme", "taken by another program"),
    "lease_expired": Translation("lecteur disparu", "worker gone"),
    "stuck": Translation("lecteur disparu", "worker gone"),
    "unknown": Translation("cause inconnue", "unknown kind"),
}
"""What `failure_kind` says; another program's kinds are shown as they stand."""


def texts_in(language: Language) -> dict[str, str]:
    """Return everything that the page says in a language, by name."""
    return {name: getattr(texts, language) for name, texts in TEXTS.items()}


def failure_kind_in(language: Language, kind: str) -> str:
    """Return a kind of failure in words."""
    texts = KINDS.get(kind)
    return kind if texts is None else str(getattr(texts, language))
