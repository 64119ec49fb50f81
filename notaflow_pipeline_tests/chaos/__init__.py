"""A queue under fire: workers, database, temporary folder and other programs do it harm, and documents are poison.

`python -m notaflow_pipeline_tests.chaos --minutes 10` prints what was done and what came of it, and exits with 1 if a
document was lost or doubled, or a promise of the queue was broken. `make chaos` runs it. `runner` has the workers and
documents, `actors` and `other_programs` do the harm, `history` and `verdict` say what came of it.
"""
