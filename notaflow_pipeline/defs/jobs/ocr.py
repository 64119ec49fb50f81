"""The job `ocr_job`: what the sensor launches and the Launchpad shows."""

import dagster as dg

OCR_RUN_TAG = {"notaflow/work": "ocr"}
"""Marks the runs that the sensor counts."""

ocr_job = dg.define_asset_job(
    "ocr_job",
    selection="ocr_text",
    # one process for a run: a step process would cost 2 s each, and OCR has its own workers
    executor_def=dg.in_process_executor,
    tags=OCR_RUN_TAG,
    description="Reads a batch of documents that are ready for OCR.",
)
