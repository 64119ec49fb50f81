"""The SQL that writes the maximum of attempts of rows without one; claims and recovery lock different rows for it."""

from psycopg import sql

WRITE_MAXIMA = sql.SQL("""
WITH without_maximum AS MATERIALIZED ({rows}),
written AS (
    UPDATE extraction_queue AS q
    SET ocr_max_attempts = GREATEST(3, q.ocr_attempts),
        ocr_attempts = COALESCE(q.ocr_attempts, 0),
        updated_at = clock_timestamp()
    FROM without_maximum
    WHERE q.id = without_maximum.id
    RETURNING q.id, q.ocr_max_attempts
)
SELECT without_maximum.id, written.ocr_max_attempts IS NOT NULL
FROM without_maximum
LEFT JOIN written USING (id)
""")
"""Takes the statement that finds and locks the rows; returns each id, and whether its row was updated."""
