"""A queue under fire: workers are killed, frozen and stopped, the database is restarted and cut off, documents are poison.

`python -m notaflow_pipeline_tests.chaos --minutes 10` prints what was done and what came of it, and exits with 1 if a
document was lost or doubled, or a promise of the queue was broken. `make chaos` runs it.
"""
