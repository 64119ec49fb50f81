"""What the page says, in French and in English, side by side so that neither can lack what the other has.

What does not belong here: how numbers and dates are written (`locale_format`).
"""

from typing import NamedTuple

from notaflow_pipeline.reporting.locale_format import Language


class Said(NamedTuple):
    """The same in both languages."""

    fr: str
    en: str


WORDS = {
    "title": Said("Lecture des documents", "Document reading"),
    "subtitle": Said(
        "Ce que devient chaque document du registre foncier en attente de lecture.",
        "What becomes of every land-registry document that waits to be read.",
    ),
    "period": Said("Du {since} au {until}", "{since} to {until}"),
    "written": Said("Mis à jour le {moment} ({timezone})", "Updated {moment} ({timezone})"),
    "language": Said("Langue", "Language"),
    "days": Said("Période affichée", "Days shown"),
    "last_days": Said("{count} jours", "{count} days"),
    "every_day": Said("Tout", "All"),
    "source": Said("Documents", "Documents"),
    "charts_days": Said("Période des graphiques\N{NO-BREAK SPACE}:", "Days in the charts:"),
    "charts_source": Said("Documents\N{NO-BREAK SPACE}:", "Documents:"),
    "all": Said("tous", "all"),
    "index": Said("index", "index"),
    "acte": Said("actes", "deeds"),
    "no_data": Said(
        "Aucun document n’a été traité pendant cette période. Les graphiques apparaîtront dès le premier document lu.",
        "No document was processed in this period. The charts appear with the first document read.",
    ),
    "no_script": Said(
        "Les graphiques demandent JavaScript; les tableaux ci-dessous disent la même chose.",
        "The charts need JavaScript; the tables below say the same.",
    ),
    # the queue
    "now": Said("La file en ce moment", "The queue now"),
    "ready": Said("Prêts", "Ready"),
    "ready_note": Said("attendent un lecteur libre", "wait for a free worker"),
    "active": Said("En lecture", "Active"),
    "active_note": Said("sont lus en ce moment", "are being read"),
    "stuck": Said("Bloqués", "Stuck"),
    "stuck_note": Said("leur lecteur ne répond plus", "their worker is gone"),
    "backing_off": Said("En pause", "Backing off"),
    "backing_off_note": Said("seront réessayés plus tard", "will be tried again later"),
    "exhausted": Said("Abandonnés", "Exhausted"),
    "exhausted_note": Said("toutes les tentatives ont échoué", "every attempt failed"),
    "done": Said("Lus", "Done"),
    "done_note": Said("leur texte est enregistré", "their text is stored"),
    "oldest": Said("Plus ancien", "Oldest"),
    "oldest_note": Said("attend depuis son dernier changement", "has waited since it last changed"),
    "nothing_waits": Said("rien n’attend", "nothing waits"),
    "attention": Said("À regarder", "Needs a look"),
    # the period
    "totals": Said("Pendant la période", "In this period"),
    "documents_read": Said("Documents lus", "Documents read"),
    "documents_read_note": Said("Pages\N{NO-BREAK SPACE}: {pages}", "Pages: {pages}"),
    "failed_attempts": Said("Tentatives échouées", "Failed attempts"),
    "failed_attempts_note": Said(
        "{failed} sur {attempts}; intervalle à 95\N{NO-BREAK SPACE}%\N{NO-BREAK SPACE}: {low} à {high}",
        "{failed} of {attempts}; 95% interval: {low} to {high}",
    ),
    "no_attempts_note": Said("aucune tentative", "no attempt"),
    "given_up": Said("Documents abandonnés", "Documents exhausted"),
    "given_up_note": Said("après leur dernière tentative", "after their last attempt"),
    "confidence": Said("Confiance moyenne", "Mean confidence"),
    "confidence_note": Said("sur 100; peu sûrs\N{NO-BREAK SPACE}: {low}", "of 100; unsure: {low}"),
    "coverage": Said("Couverture moyenne", "Mean coverage"),
    "coverage_note": Said("lacunes possibles\N{NO-BREAK SPACE}: {low}", "with possible gaps: {low}"),
    # the charts
    "throughput_title": Said("Documents lus par jour", "Documents read per day"),
    "throughput_text": Said(
        "Chaque barre compte les documents dont le texte a été enregistré ce jour-là.",
        "Each bar counts the documents whose text was stored that day.",
    ),
    "wait_title": Said("Attente avant la lecture", "Wait before reading"),
    "wait_text": Said(
        "Du moment où un document pouvait être lu à celui où il l’a été. La moitié attend moins que la médiane; "
        "95\N{NO-BREAK SPACE}% attendent moins que la ligne tiretée.",
        "From the moment a document could be read until it was taken up. Half wait less than the median; 95% wait less "
        "than the dashed line.",
    ),
    "duration_title": Said("Durée de lecture", "Reading time"),
    "duration_text": Said(
        "De la prise en charge d’un document à l’enregistrement de son texte.",
        "From taking up a document to storing its text.",
    ),
    "failure_rate_title": Said("Taux d’échec des tentatives", "Failure rate of attempts"),
    "failure_rate_text": Said(
        "La ligne est la part observée; la bande est l’intervalle de confiance à 95\N{NO-BREAK SPACE}% (Wilson), "
        "large quand il y a peu de tentatives.",
        "The line is the observed share; the band is the 95% confidence interval (Wilson), wide when attempts are few.",
    ),
    "kinds_title": Said("Échecs par cause", "Failures by kind"),
    "kinds_text": Said(
        "Tentatives échouées de chaque jour, selon ce qui n’allait pas.",
        "Each day’s failed attempts, by what was wrong.",
    ),
    "confidence_title": Said("Confiance de la reconnaissance", "Recognition confidence"),
    "confidence_text": Said(
        "Moyenne des mots reconnus, de 0 à 100. Une baisse annonce des numérisations plus difficiles. La couverture est "
        "la part de l’encre d’une page dont les mots rendent compte; celle d’un document est la plus basse de ses pages.",
        "Mean over recognised words, 0 to 100. A drop tells of harder scans. Coverage is the share of a page’s ink that "
        "its words account for; a document has the lowest of its pages.",
    ),
    "attempts_title": Said("Tentatives par jour", "Attempts per day"),
    "attempts_text": Said(
        "Ce que sont devenues les tentatives terminées ce jour-là.",
        "What became of the attempts that ended that day.",
    ),
    # columns, axes, legends
    "day": Said("Jour", "Day"),
    "documents": Said("Documents", "Documents"),
    "pages": Said("Pages", "Pages"),
    "pages_per_minute": Said("Pages par minute", "Pages per minute"),
    "p50": Said("Médiane", "Median"),
    "p95": Said("95e centile", "95th percentile"),
    "rate": Said("Taux d’échec", "Failure rate"),
    "interval": Said("Intervalle à 95\N{NO-BREAK SPACE}%", "95% interval"),
    "low": Said("Intervalle, bas", "Interval, low"),
    "high": Said("Intervalle, haut", "Interval, high"),
    "mean_confidence": Said("Confiance", "Confidence"),
    "low_confidence_documents": Said("Documents peu sûrs", "Unsure documents"),
    "mean_coverage": Said("Couverture", "Coverage"),
    "low_coverage_documents": Said("Documents à lacunes possibles", "Documents with possible gaps"),
    "attempts": Said("Tentatives", "Attempts"),
    "attempts_avg": Said("Tentatives par document", "Attempts per document"),
    "succeeded": Said("Réussies", "Succeeded"),
    "attempts_failed": Said("Échouées", "Failed"),
    "attempts_stuck": Said("Bloquées", "Stuck"),
    "outcome": Said("Issue", "Outcome"),
    "kind": Said("Cause", "Kind"),
    "share": Said("Part", "Share"),
    "other": Said("autres causes", "other kinds"),
    "table": Said("Les mêmes chiffres en tableau", "The same figures as a table"),
    # single documents
    "failing_title": Said("Documents qui échouent le plus", "Documents that fail most"),
    "unsure_title": Said("Documents les moins sûrs", "Least confident documents"),
    "documents_since": Said("Depuis le {since}.", "Since {since}."),
    "none_failed": Said("Aucune tentative n’a échoué.", "No attempt failed."),
    "none_failing": Said("Aucun document n’a échoué.", "No document failed."),
    "none_unsure": Said("Aucun document n’a été lu.", "No document was read."),
    "number": Said("Numéro", "Number"),
    "failures": Said("Échecs", "Failures"),
    "last_kind": Said("Dernière cause", "Last kind"),
    "last_failed": Said("Dernier échec", "Last failure"),
    "state": Said("Aujourd’hui", "By now"),
    "read_at": Said("Lu", "Read"),
    "state_read": Said("lu depuis", "read since"),
    "state_active": Said("en lecture", "active"),
    "state_exhausted": Said("abandonné", "exhausted"),
    "state_waiting": Said("attend un nouvel essai", "waits for another try"),
    "state_gone": Said("retiré de la file", "gone from the queue"),
    "footer": Said(
        "« notaflow show NUMÉRO » donne l’histoire d’un document; « notaflow retry » renvoie les documents abandonnés.",
        "“notaflow show NUMBER” has a document’s history; “notaflow retry” sends exhausted documents round again.",
    ),
}

KINDS = {
    "empty_file": Said("fichier vide", "empty file"),
    "not_a_document": Said("pas un document", "not a document"),
    "unsupported": Said("format non pris en charge", "unsupported format"),
    "encrypted": Said("chiffré", "encrypted"),
    "corrupt": Said("endommagé", "corrupt"),
    "no_pages": Said("sans pages", "no pages"),
    "too_large": Said("trop volumineux", "too large"),
    "too_many_pages": Said("trop de pages", "too many pages"),
    "out_of_memory": Said("mémoire insuffisante", "out of memory"),
    "timeout": Said("délai dépassé", "timeout"),
    "crashed": Said("arrêt du lecteur", "crashed"),
    "engine": Said("erreur du moteur", "engine error"),
    "not_found": Said("introuvable", "not found"),
    "refused_location": Said("emplacement refusé", "refused location"),
    "no_space": Said("espace temporaire insuffisant", "no temporary space"),
    "refused_by_database": Said("refusé par la base", "refused by database"),
    "storage": Said("stockage indisponible", "storage failure"),
    "no_lease": Said("pris par un autre programme", "taken by another program"),
    "lease_expired": Said("lecteur disparu", "worker gone"),
    "stuck": Said("lecteur disparu", "worker gone"),
    "unknown": Said("cause inconnue", "unknown kind"),
}
"""What `failure_kind` says; another program's kinds are shown as they stand."""


def words(language: Language) -> dict[str, str]:
    """Return everything that the page says in a language, by name."""
    return {name: getattr(said, language) for name, said in WORDS.items()}


def kind_in(language: Language, kind: str) -> str:
    """Return a kind of failure in words."""
    said = KINDS.get(kind)
    return kind if said is None else str(getattr(said, language))
