"""The asset `extraction_queue`: the table of documents, which other programs fill."""

import dagster as dg

extraction_queue = dg.AssetSpec(
    "extraction_queue",
    description=(
        "The table of ordered land-registry documents. NotaFlow's extraction stage adds a row per document and sets it to "
        "status 3 when the scan lies in storage; this project reads every such row of the enabled sources."
    ),
    kinds={"postgres"},
    group_name="ocr",
)
