"""Damaged documents by the thousand: `python -m notaflow_pipeline_tests.fuzz --seconds 60`."""
