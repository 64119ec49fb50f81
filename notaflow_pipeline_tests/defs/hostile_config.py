"""Run config that a job must refuse, and the functions that place it."""

from typing import Any

SQL = "1; DROP TABLE extraction_queue; --"

PATH = "../../etc/passwd"

HUGE = 10**30

DAY = "2026-11-01"


def claim(**config: object) -> dict[str, Any]:
    return {"ops": {"ocr_text": {"ops": {"claim_documents": {"config": config}}}}}


def retry(**config: object) -> dict[str, Any]:
    return {"ops": {"requeued_documents": {"ops": {"requeue_exhausted_documents": {"config": config}}}}}


def page(**config: object) -> dict[str, Any]:
    return {"ops": {"ocr_dashboard": {"config": config}}}


def cancel(**config: object) -> dict[str, Any]:
    return {"ops": {"cancel_named_documents": {"config": config}}}


def priority(**config: object) -> dict[str, Any]:
    return {"ops": {"set_priority_of_documents": {"config": config}}}


HOSTILE: list[tuple[str, str | None, dict[str, Any], str]] = [
    ("ocr_job", None, claim(limit=-1), "greater than or equal to 1"),
    ("ocr_job", None, claim(limit=0), "greater than or equal to 1"),
    ("ocr_job", None, claim(limit=10_001), "less than or equal to 10000"),
    ("ocr_job", None, claim(limit=HUGE), "less than or equal to 10000"),
    ("ocr_job", None, claim(limit=SQL), "Invalid scalar"),
    ("ocr_job", None, claim(limit=1.5), "Invalid scalar"),
    ("ocr_job", None, claim(limit=[1]), "limit"),
    ("ocr_job", None, claim(limit=1, path=PATH), 'unexpected config entry "path"'),
    ("ocr_job", None, claim(limit=1, sources=["plan_cadastraux"]), 'unexpected config entry "sources"'),
    ("ocr_job", None, {"resources": {"storage": {"config": {"url": "http://other.example"}}}}, "url"),
    ("ocr_job", None, {"resources": {"queue": {"config": {"database_url": "postgresql://other"}}}}, "database_url"),
    ("ocr_job", None, {"resources": {"engine": {"config": {"languages": "deu"}}}}, "languages"),
    # settings are shown as fields that take no value but their own
    ("ocr_job", None, {"resources": {"engine": {"config": {"OCR_DPI": "601"}}}}, "not in enum"),
    ("ocr_job", None, {"resources": {"queue": {"config": {"NOTAFLOW_DATABASE_URL": "postgresql://x"}}}}, "not in enum"),
    ("ocr_job", None, {"resources": {"storage": {"config": {"NOTAFLOW_DOCUMENTS_URL": PATH}}}}, "not in enum"),
    (
        "ocr_job",
        None,
        {"ops": {"ocr_text": {"ops": {"summarise_batch": {"config": {"path": PATH}}}}}},
        'unexpected config entry "path"',
    ),
    ("ocr_job", None, {"execution": {"config": {"multiprocess": {"max_concurrent": HUGE}}}}, "multiprocess"),
    ("retry_exhausted_job", DAY, retry(kinds=["timeout'; DROP TABLE extraction_queue; --"]), "should match pattern"),
    ("retry_exhausted_job", DAY, retry(kinds=[PATH]), "should match pattern"),
    ("retry_exhausted_job", DAY, retry(kinds=["timeout"] * 51), "at most 50 items"),
    ("retry_exhausted_job", DAY, retry(kinds=SQL), "kinds"),
    ("retry_exhausted_job", DAY, retry(max_requeues=0), "greater than or equal to 1"),
    ("retry_exhausted_job", DAY, retry(max_requeues=HUGE), "less than or equal to 1000"),
    ("retry_exhausted_job", DAY, retry(more_attempts=-3), "greater than or equal to 1"),
    ("retry_exhausted_job", DAY, retry(more_attempts=2**31), "less than or equal to 100"),
    ("retry_exhausted_job", DAY, retry(since="2026-01-01"), 'unexpected config entry "since"'),
    ("retry_exhausted_job", "2026-11-01'; DROP TABLE extraction_queue; --", {}, "partition"),
    ("retry_exhausted_job", PATH, {}, "partition"),
    ("retry_exhausted_job", "0001-01-01", {}, "partition"),
    ("cancel_documents_job", None, {}, "No document is named"),
    ("cancel_documents_job", None, cancel(documents=[SQL]), "no document has the id or number"),
    ("cancel_documents_job", None, cancel(documents=["1"] * 1001), "at most 1000 items"),
    ("cancel_documents_job", None, cancel(documents=SQL), "documents"),
    ("cancel_documents_job", None, cancel(documents=["1"], reason="x" * 201), "at most 200 characters"),
    ("cancel_documents_job", None, cancel(documents=["1"], sources=["acte"]), 'unexpected config entry "sources"'),
    ("document_priority_job", None, priority(documents=["2"], priority=HUGE), "less than or equal to 32767"),
    ("document_priority_job", None, priority(documents=["2"], priority=-32769), "greater than or equal to -32768"),
    ("document_priority_job", None, priority(documents=[PATH], priority=1), "no document has the id or number"),
    ("dashboard_job", None, page(days=0), "greater than or equal to 1"),
    ("dashboard_job", None, page(days=3661), "less than or equal to 3660"),
    ("dashboard_job", None, page(days=SQL), "Invalid scalar"),
    ("dashboard_job", None, page(path=PATH), 'unexpected config entry "path"'),
    (
        "housekeeping_job",
        None,
        {"ops": {"prune_runs": {"config": {"run_retention_days": 0}}}},
        'entry "run_retention_days"',
    ),
    ("housekeeping_job", None, {"ops": {"prune_old_attempts": {"config": {"before": "now"}}}}, 'entry "before"'),
    ("ocr_recovery_job", None, {"ops": {"recover_rows": {"config": {"stuck_after": 0}}}}, 'entry "stuck_after"'),
]
