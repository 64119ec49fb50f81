"""French explanations of conditions, which messages add to the English sentence of a check or a run.

They depend on the condition's key alone: what is wrong, and what to do. The figures stand below it, once for both languages,
each with its name in both.
"""

from notaflow_pipeline.alerting.conditions import MessageKind

CHECKS = {
    "queue_progress": (
        "Des documents sont prêts, mais aucun n’est lu. Vérifiez le démon Dagster et ocr_ready_sensor, "
        "puis `notaflow doctor`."
    ),
    "stuck_documents": "La lecture de documents est interrompue et n’a pas repris. Lancez `notaflow recover`.",
    "waiting_time": "Un document attend depuis trop longtemps. `notaflow status --watch` montre pourquoi.",
    "exhausted_acknowledged": (
        "Des documents ont échoué à toutes leurs tentatives. `notaflow list --state exhausted` les énumère avec leur "
        "cause. Après correction, lancez `notaflow retry`, avec `--id` pour un fichier remplacé, ou `notaflow alert --seen` "
        "si rien n’est à faire."
    ),
    "queue_invariants": "Des lignes de la file sont incohérentes. `notaflow recover` les répare ou dit quoi faire.",
    "daily_tables_complete": (
        "Les tableaux quotidiens de jours passés manquent. Vérifiez ocr_daily_schedule, puis calculez ces jours dans Dagster."
    ),
    "daily_tables_reconciled": (
        "Les tableaux quotidiens diffèrent des tentatives enregistrées. Calculez de nouveau ces jours dans Dagster."
    ),
    "attempt_failure_rate_high": (
        "Trop de tentatives échouent. `ocr_daily_failures_by_kind` montre les causes; `notaflow doctor` vérifie la base de "
        "données, le stockage et le moteur."
    ),
    "document_failure_rate_high": (
        "Trop de documents sont abandonnés. `notaflow list --state exhausted` les énumère avec leur cause."
    ),
    "duration_anomaly": "La lecture est plus lente que d’habitude. Vérifiez la charge de la machine et le stockage.",
    "confidence_anomaly": (
        "Les mots sont reconnus avec moins de certitude que d’habitude. Comparez des documents du jour à leur texte."
    ),
    "coverage_anomaly": (
        "Une plus grande part de l’encre que d’habitude n’est pas reconnue. Comparez des documents du jour à leur texte."
    ),
}
"""By the name of the check."""

FIGURES = {
    "attempts": "tentatives",
    "coverage_percent": "couverture en pour cent",
    "day": "jour",
    "days": "jours",
    "days_missed": "jours manquants",
    "error": "erreur",
    "failed": "échecs",
    "idle_minutes": "minutes sans lecture",
    "mean_confidence": "confiance moyenne",
    "not_acknowledged": "non confirmés",
    "older_than_hours": "depuis plus de (heures)",
    "oldest_hours": "heures d’attente",
    "p95_seconds": "95e centile en secondes",
    "rate": "taux",
    "rate_at_least": "taux minimal",
    "ready": "prêts",
    "refused": "refusés",
    "run": "exécution",
    "stuck": "interrompus",
    "stuck_for_minutes": "minutes d’interruption",
    "threshold": "seuil",
    "usual": "valeur habituelle",
    "violations": "incohérences",
    "wrong_days": "jours erronés",
}
"""Figures of messages by their English name; `documents` is the same word in both languages."""

DATABASE = "La base de données ne peut pas être utilisée. Vérifiez le serveur et NOTAFLOW_DATABASE_URL."

_RUN = (
    "Une exécution de {job} a échoué. Sa page dans Dagster en donne la cause; `notaflow doctor` vérifie l’installation."
)

_CHECK = "Une vérification a échoué; sa page dans Dagster en donne le détail."

_ENDED = "Cette condition n’est plus en échec."


def explain(key: str, kind: MessageKind) -> str:
    """Return what a message says in French.

    Args:
        key: of the condition: `check:ASSET:NAME`, `check:ASSET:NAME:DAY`, `job:NAME` or `database`.
        kind: why the message is sent.
    """
    if kind is MessageKind.END:
        return _ENDED
    family, *names = key.split(":")
    if family == "job":
        return _RUN.format(job=":".join(names))
    if family == "check":
        return CHECKS.get(names[1], _CHECK)
    return DATABASE
