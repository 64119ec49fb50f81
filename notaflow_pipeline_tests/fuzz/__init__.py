"""Fuzzing with damaged documents: `python -m notaflow_pipeline_tests.fuzz --seconds 60`."""
