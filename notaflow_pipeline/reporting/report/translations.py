"""Texts of the report in French and in English, side by side so that neither language can lack one."""

from typing import NamedTuple

from notaflow_pipeline.reporting.report.locale_format import Language


class Translation(NamedTuple):
    """A text in both languages."""

    fr: str
    en: str


TEXTS = {
    "title": Translation("Lecture des documents", "Document reading"),
    "subtitle": Translation(
        "L’avancement de la lecture des documents du registre foncier.",
        "The progress of reading the documents of the land registry.",
    ),
    "period": Translation("Du {since} au {until}", "{since} to {until}"),
    "written": Translation("Mis à jour le {moment} ({timezone})", "Updated {moment} ({timezone})"),
    "day_not_computed": Translation(
        "Les chiffres de ce jour ne sont pas encore calculés ou sont incomplets\N{NO-BREAK SPACE}: {days}. Les graphiques "
        "et les totaux ne le comptent pas en entier.",
        "The figures of this day are not computed yet or are incomplete: {days}. Charts and totals do not "
        "count all of it.",
    ),
    "days_not_computed": Translation(
        "Les chiffres de ces jours ne sont pas encore calculés ou sont incomplets\N{NO-BREAK SPACE}: {days}. Les graphiques "
        "et les totaux ne les comptent pas en entier.",
        "The figures of these days are not computed yet or are incomplete: {days}. Charts and totals do not "
        "count all of them.",
    ),
    "more_days": Translation(" et {count} de plus", " and {count} more"),
    "language": Translation("Langue", "Language"),
    "days": Translation("Période affichée", "Days shown"),
    "last_days": Translation("{count} jours", "{count} days"),
    "every_day": Translation("Tout", "All"),
    "source": Translation("Documents", "Documents"),
    "chosen_period": Translation("Période\N{NO-BREAK SPACE}:", "Period:"),
    "chosen_source": Translation("Documents\N{NO-BREAK SPACE}:", "Documents:"),
    "by_days": Translation("Un point ou une barre par jour.", "One point or bar for each day."),
    "by_weeks": Translation(
        "Un point ou une barre par semaine, à partir du lundi; les durées et les moyennes sont celles des "
        "jours, pondérées par leurs documents.",
        "One point or bar for each week from Monday; durations and means are those of the days, weighted by "
        "their documents.",
    ),
    "all": Translation("tous", "all"),
    "index": Translation("index", "index"),
    "acte": Translation("actes", "deeds"),
    "no_data": Translation(
        "Aucun document n’a été traité pendant cette période. Les graphiques apparaîtront dès le premier document lu.",
        "No document was processed in this period. The charts appear with the first document read.",
    ),
    "no_data_chosen": Translation("Aucun document pendant cette période.", "No document in this period."),
    "no_script": Translation(
        "Les graphiques et le choix de la période demandent JavaScript; les tableaux donnent les mêmes "
        "chiffres pour toute la période.",
        "The charts and the choice of a period need JavaScript; the tables give the same figures for the whole period.",
    ),
    # the queue
    "now": Translation("La file en ce moment", "The queue now"),
    "ready": Translation("Prêts", "Ready"),
    "ready_note": Translation("attendent d’être lus", "wait to be read"),
    "refused": Translation("Refusés", "Refused"),
    "refused_note": Translation(
        "la base de données refuse de les faire lire", "the database refuses to have them read"
    ),
    "active": Translation("En lecture", "Being read"),
    "active_note": Translation("sont lus en ce moment", "at this moment"),
    "stuck": Translation("Interrompus", "Interrupted"),
    "stuck_note": Translation(
        "leur lecture s’est arrêtée; elle reprend d’elle-même", "reading stopped; it resumes by itself"
    ),
    "backing_off": Translation("À réessayer", "To be retried"),
    "backing_off_note": Translation(
        "un essai a échoué; le prochain vient plus tard", "a try failed; the next one comes later"
    ),
    "exhausted": Translation("Abandonnés", "Given up"),
    "exhausted_note": Translation("toutes les tentatives ont échoué", "all attempts failed"),
    "done": Translation("Lus", "Read"),
    "done_note": Translation("leur texte est enregistré", "their text is stored"),
    "oldest": Translation("Plus longue attente", "Longest wait"),
    "oldest_note": Translation(
        "pour le document qui attend depuis le plus longtemps", "of the document that has waited longest"
    ),
    "nothing_waits": Translation("rien n’attend", "nothing waits"),
    "attention": Translation("À vérifier", "Needs attention"),
    # the period
    "totals": Translation("Pendant la période", "In this period"),
    "documents_read": Translation("Documents lus", "Documents read"),
    "documents_read_note": Translation("Pages\N{NO-BREAK SPACE}: {pages}", "Pages: {pages}"),
    "failed_attempts": Translation("Tentatives échouées", "Failed attempts"),
    "failed_of": Translation("{failed} sur {attempts}", "{failed} of {attempts}"),
    "too_few_note": Translation("trop peu de tentatives pour un taux", "too few attempts for a rate"),
    "failed_attempts_note": Translation(
        "{failed} sur {attempts}; intervalle à 95\N{NO-BREAK SPACE}%\N{NO-BREAK SPACE}: {low} à {high}",
        "{failed} of {attempts}; 95% interval: {low} to {high}",
    ),
    "no_attempts_note": Translation("aucune tentative", "no attempt"),
    "given_up": Translation("Documents abandonnés", "Documents given up"),
    "given_up_note": Translation("après leur dernière tentative", "after their last attempt"),
    "confidence": Translation("Confiance moyenne", "Mean confidence"),
    "confidence_note": Translation(
        "sur 100; documents peu sûrs\N{NO-BREAK SPACE}: {low}", "of 100; documents of low confidence: {low}"
    ),
    "coverage": Translation("Couverture moyenne", "Mean coverage"),
    "coverage_note": Translation(
        "documents à lacunes possibles\N{NO-BREAK SPACE}: {low}", "documents with possible gaps: {low}"
    ),
    # the charts
    "throughput_title": Translation("Documents lus", "Documents read"),
    "throughput_text": Translation("Documents dont le texte a été enregistré.", "Documents whose text was stored."),
    "wait_title": Translation("Attente avant la lecture", "Wait before reading"),
    "wait_text": Translation(
        "Du moment où un document pouvait être lu jusqu’au début de sa lecture. La moitié des documents "
        "attend moins que la médiane; 95\N{NO-BREAK SPACE}% attendent moins que la ligne tiretée.",
        "From the moment a document could be read until its reading began. Half of the documents wait less "
        "than the median; 95% wait less than the dashed line.",
    ),
    "duration_title": Translation("Durée de lecture", "Reading time"),
    "duration_text": Translation(
        "Du début de la lecture d’un document à l’enregistrement de son texte.",
        "From the beginning of reading a document to storing its text.",
    ),
    "failure_rate_title": Translation("Taux d’échec des tentatives", "Failure rate of attempts"),
    "failure_rate_text": Translation(
        "La ligne est le taux observé; la bande est l’intervalle de confiance à 95\N{NO-BREAK SPACE}% (Wilson). Aucun taux "
        "n’est montré pour moins de 20 tentatives.",
        "The line is the observed rate; the band is its 95% confidence interval (Wilson). No rate is shown "
        "for fewer than 20 attempts.",
    ),
    "kinds_title": Translation("Échecs par cause", "Failures by cause"),
    "kinds_text": Translation("Tentatives échouées, selon leur cause.", "Failed attempts, by their cause."),
    "confidence_title": Translation("Confiance de la reconnaissance", "Recognition confidence"),
    "confidence_text": Translation(
        "Moyenne des mots reconnus, de 0 à 100; elle baisse quand les numérisations sont plus difficiles. La "
        "couverture est la part de l’encre d’une page qui appartient à des mots reconnus; celle d’un document "
        "est la plus basse de ses pages.",
        "Mean over recognised words, 0 to 100; it drops when scans are harder to read. Coverage is the share "
        "of a page’s ink that belongs to recognised words; a document has the lowest of its pages.",
    ),
    "attempts_title": Translation("Tentatives", "Attempts"),
    "attempts_text": Translation("Tentatives terminées, selon leur issue.", "Attempts that ended, by their outcome."),
    # columns, axes, legends
    "day": Translation("Jour", "Day"),
    "week": Translation("Semaine du", "Week of"),
    "date": Translation("Date", "Date"),
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
    "low_confidence_documents": Translation("Documents peu sûrs", "Documents of low confidence"),
    "mean_coverage": Translation("Couverture", "Coverage"),
    "low_coverage_documents": Translation("Documents à lacunes possibles", "Documents with possible gaps"),
    "attempts": Translation("Tentatives", "Attempts"),
    "attempts_avg": Translation("Tentatives par document", "Attempts per document"),
    "succeeded": Translation("Réussies", "Succeeded"),
    "attempts_failed": Translation("Échouées", "Failed"),
    "attempts_stuck": Translation("Interrompues", "Interrupted"),
    "outcome": Translation("Issue", "Outcome"),
    "kind": Translation("Cause", "Cause"),
    "share": Translation("Part", "Share"),
    "other": Translation("autres causes", "other causes"),
    "table": Translation("Les mêmes chiffres en tableau", "The same figures as a table"),
    # single documents
    "failing_title": Translation("Documents qui échouent le plus", "Documents with the most failures"),
    "lowest_confidence_title": Translation("Documents les moins sûrs", "Least certain documents"),
    "documents_since": Translation("Depuis le {since}.", "Since {since}."),
    "none_failed": Translation("Aucune tentative n’a échoué.", "No attempt failed."),
    "none_failing": Translation("Aucun document n’a échoué.", "No document failed."),
    "none_read": Translation("Aucun document n’a été lu.", "No document was read."),
    "lowest_confidence_view": Translation(
        "« notaflow view NUMÉRO » montre la numérisation et le texte côte à côte.",
        "“notaflow view NUMBER” shows the scan and the text side by side.",
    ),
    "number": Translation("Numéro", "Number"),
    "failures": Translation("Échecs", "Failures"),
    "last_kind": Translation("Dernière cause", "Last cause"),
    "last_failed": Translation("Dernier échec", "Last failure"),
    "state": Translation("État actuel", "State now"),
    "read_at": Translation("Lu", "Read"),
    "state_read": Translation("lu depuis", "read since"),
    "state_active": Translation("en lecture", "being read"),
    "state_exhausted": Translation("abandonné", "given up"),
    "state_waiting": Translation("attend un nouvel essai", "waits for another try"),
    "state_deleted": Translation("supprimé", "deleted"),
    "footer": Translation(
        "Pour connaître l’histoire d’un document ou le faire relire, donnez son numéro à la personne qui "
        "exploite le système.",
        "To learn about a document’s history or to have it read again, give its number to the person who "
        "operates the system.",
    ),
    "operator": Translation("Pour la personne qui exploite le système", "For the person who operates the system"),
    "operator_text": Translation(
        "« notaflow show NUMÉRO » montre l’histoire d’un document; « notaflow retry » donne de nouvelles "
        "tentatives aux documents abandonnés; « notaflow alert » montre les alertes en cours. Les chiffres "
        "des jours manquants se calculent dans Dagster (ocr_daily_failure_rate, « Materialize »).",
        "“notaflow show NUMBER” shows a document’s history; “notaflow retry” gives new attempts to documents "
        "that were given up; “notaflow alert” shows the conditions that fail. The figures of missing days are "
        "computed in Dagster (ocr_daily_failure_rate, “Materialize”).",
    ),
}

FAILURE_KINDS = {
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
    "crashed": Translation("arrêt inattendu", "unexpected stop"),
    "engine": Translation("erreur du moteur", "engine error"),
    "not_found": Translation("introuvable", "not found"),
    "refused_location": Translation("emplacement refusé", "refused location"),
    "no_space": Translation("espace temporaire insuffisant", "no temporary space"),
    "refused_by_database": Translation("refusé par la base", "refused by database"),
    "lease_expired": Translation("lecture interrompue", "reading interrupted"),
    "stuck": Translation("lecture interrompue", "reading interrupted"),
    "cancelled": Translation("annulé", "cancelled"),
    "no_lease": Translation("modifié par un autre programme", "changed by another program"),
    "storage": Translation("stockage inaccessible", "storage unavailable"),
    "unknown": Translation("cause inconnue", "unknown cause"),
}
"""Values of `failure_kind`; kinds of other programs are shown unchanged."""


def texts_in(language: Language) -> dict[str, str]:
    """Return the texts in a language, by name."""
    return {name: getattr(texts, language) for name, texts in TEXTS.items()}


def failure_kind_in(language: Language, kind: str) -> str:
    """Return the name of a kind of failure."""
    texts = FAILURE_KINDS.get(kind)
    return kind if texts is None else str(getattr(texts, language))
