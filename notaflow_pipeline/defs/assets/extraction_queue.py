"""The asset `extraction_queue`: the table of documents, which other programs fill."""

import dagster as dg

from notaflow_pipeline.defs.ownership import OWNERS, TAGS
from notaflow_pipeline.job_queue.schema.columns import TABLE_COLUMNS

extraction_queue = dg.AssetSpec(
    "extraction_queue",
    description=(
        "The table of ordered land-registry documents. NotaFlow's extraction stage adds a row per document and sets it to "
        "status 3 when the scan lies in storage; this project reads every such row of the enabled sources. Every ten "
        "minutes an observation records how many documents are ready, active, backing off, exhausted and done."
    ),
    kinds={"postgres"},
    group_name="ocr",
    owners=OWNERS,
    tags=TAGS,
    metadata={
        "dagster/table_name": "extraction_queue",
        "dagster/column_schema": dg.TableSchema(
            [dg.TableColumn(name, kind) for name, kind in TABLE_COLUMNS["extraction_queue"].items()]
        ),
    },
)
