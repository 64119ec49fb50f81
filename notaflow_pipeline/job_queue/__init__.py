"""The queue in PostgreSQL: claims, leases, outcomes, recovery, queries and migrations.

SQL writes statuses, outcomes and sources as literals: the planner uses a partial index only if the statement has the
literal, and one spelling in all statements can be searched for. `status_id` is 1 or 2 before and during extraction, 3 when a
document is ready for OCR, 6 under OCR, 5 with its text, and 4 after a failed extraction (`OCR_EXHAUSTED_STATUS=4`: also
when it is exhausted). `model` has the enums of outcomes and sources, for Python.
"""
