"""Runs the queue while workers, database, temporary folder and other programs are disturbed, and some documents kill workers.

`python -m notaflow_pipeline_tests.chaos --minutes 10` prints the disturbances and their results, and exits with 1 if a
document was lost or processed twice, or an invariant of the queue was broken. `make chaos` runs it. `testbed` has the workers
and documents, `disturbances` and `other_programs` cause the disturbances, `history` and `results` check the results.
"""
