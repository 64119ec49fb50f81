"""Checks that a worker's login has the privileges that it needs, before any row is changed.

`roles.sql` grants them.
"""

from collections.abc import Iterator, Sequence

from psycopg import Connection

from notaflow_pipeline.job_queue.schema.check import SchemaMismatch, summarize
from notaflow_pipeline.job_queue.schema.columns import TABLE_COLUMNS

# table -> privilege -> columns, or () for all columns; as granted to notaflow_worker in `roles.sql`
WRITES: dict[str, dict[str, Sequence[str]]] = {
    "extraction_queue": {
        "UPDATE": (
            "status_id",
            "error_message",
            "file_content",
            "updated_at",
            "ocr_worker_id",
            "ocr_started_at",
            "ocr_completed_at",
            "ocr_attempts",
            "ocr_max_attempts",
            "ocr_error",
            "ocr_last_error_at",
            "ocr_claim_id",
            "ocr_next_attempt_at",
            "ocr_priority",
            "ocr_reread_requested_at",
            "ocr_changed_elsewhere_at",
        )
    },
    "ocr_attempt": {
        "INSERT": (),
        "UPDATE": (
            "lease_expires_at",
            "finished_at",
            "outcome",
            "failure_kind",
            "error",
            "pages",
            "characters",
            "mean_confidence",
            "fetch_seconds",
            "ocr_seconds",
            "source_bytes",
            "engine",
            "text_sha256",
            "exhausted",
            "pages_blank",
            "pages_text_layer",
            "pages_damaged",
            "pages_failed",
            "low_confidence_share",
            "passes",
            "coverage",
            "retry_at",
        ),
    },
    "ocr_round": {"INSERT": ()},
    "ocr_refusal": {"INSERT": (), "UPDATE": (), "DELETE": ()},
    "ocr_pause": {"INSERT": (), "UPDATE": ("reason",), "DELETE": ()},
    "ocr_alert_condition": {"INSERT": (), "UPDATE": ()},
    "ocr_alert_message": {"INSERT": (), "DELETE": ()},
    "ocr_alert_receiver": {"INSERT": (), "UPDATE": (), "DELETE": ()},
    "ocr_alert_delivery": {"INSERT": (), "UPDATE": (), "DELETE": ()},
    "ocr_alert_position": {"INSERT": (), "UPDATE": ()},
    "ocr_progress_watch": {"INSERT": (), "UPDATE": ()},
    "ocr_exhausted_seen": {"INSERT": (), "UPDATE": ()},
    "ocr_daily_performance": {"INSERT": (), "DELETE": ()},
    "ocr_daily_failure_rate": {"INSERT": (), "DELETE": ()},
    "ocr_daily_failures_by_kind": {"INSERT": (), "DELETE": ()},
}

HOUSEKEEPER_TABLES = ("ocr_pruning",)
"""Tables of the housekeeper, which a worker neither reads nor writes."""


def require_privileges(connection: Connection) -> None:
    """Raise if this login lacks a privilege that a worker needs.

    Raises:
        SchemaMismatch: with the first missing privileges and what to do.
    """
    missing = list(missing_privileges(connection))
    if missing:
        raise SchemaMismatch(
            f"this login lacks privileges of a worker: {summarize(missing)}. `notaflow migrate --roles`, run with the "
            "owner's login, grants them to its role; docs/security.md says which role may what. No row was changed."
        )


# a privilege on a table includes its columns; DELETE exists for tables only
_MISSING = """
WITH needed AS (
    SELECT *
    FROM unnest(%(relations)s::text[], %(privileges)s::text[], %(columns)s::text[]) AS one (relation, privilege, column_name)
    WHERE to_regclass(relation) IS NOT NULL
),
lacking AS (
    SELECT n.relation, n.privilege, n.column_name
    FROM needed AS n
    WHERE n.column_name IS NULL
      AND NOT has_table_privilege(to_regclass(n.relation), n.privilege)
    UNION ALL
    SELECT n.relation, n.privilege, n.column_name
    FROM needed AS n
    JOIN pg_attribute AS a
      ON a.attrelid = to_regclass(n.relation) AND a.attname = n.column_name AND NOT a.attisdropped
    WHERE NOT has_column_privilege(a.attrelid, a.attnum, n.privilege)
)
SELECT relation, privilege, string_agg(column_name, ', ' ORDER BY column_name)
FROM lacking
GROUP BY relation, privilege
ORDER BY relation, privilege
"""

# tables whose row-level security applies to this login without a policy that shows it a row
_WITHOUT_VISIBLE_ROWS = """
SELECT c.relname
FROM pg_class AS c
WHERE c.oid = ANY(ARRAY(SELECT to_regclass(name)::oid FROM unnest(%(relations)s::text[]) AS name))
  AND row_security_active(c.oid)
  AND NOT EXISTS (
      SELECT
      FROM pg_policy AS p
      CROSS JOIN unnest(p.polroles) AS to_role
      WHERE p.polrelid = c.oid
        AND p.polcmd IN ('r', '*')
        AND (to_role = 0 OR pg_has_role(to_role, 'USAGE'))
  )
ORDER BY c.relname
"""


def missing_privileges(connection: Connection) -> Iterator[str]:
    """Yield a sentence for each missing privilege of a worker.

    Missing tables and columns are skipped: `find_schema_differences` reports them.
    """
    needed = [*_reads(), *_writes()]
    relations, privileges, columns = zip(*needed, strict=True)
    arguments = {"relations": list(relations), "privileges": list(privileges), "columns": list(columns)}
    for relation, privilege, named in connection.execute(_MISSING, arguments):
        yield f"this login may not {privilege} {relation}" + (f" ({named})" if named else "")
    for (relation,) in connection.execute(_WITHOUT_VISIBLE_ROWS, {"relations": sorted(set(relations))}):
        yield f"row-level security hides every row of {relation} from this login"


def _reads() -> Iterator[tuple[str, str, str | None]]:
    for relation, columns in TABLE_COLUMNS.items():
        if relation not in HOUSEKEEPER_TABLES:
            yield from ((relation, "SELECT", column) for column in columns)


def _writes() -> Iterator[tuple[str, str, str | None]]:
    for relation, privileges in WRITES.items():
        for privilege, columns in privileges.items():
            yield from ((relation, privilege, column) for column in columns or (None,))
