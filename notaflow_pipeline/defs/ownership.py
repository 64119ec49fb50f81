"""The owner, the tags and the reference to its source file that every asset carries."""

import warnings
from typing import Any, Final

import dagster as dg

OWNERS: Final = ["team:notaflow"]

TAGS: Final = {"domain": "land-registry", "personal-data": "yes"}
"""Documents contain names and prices; their texts are only in `extraction_queue.file_content`."""

FIGURE_TAGS: Final = TAGS | {"personal-data": "no"}
"""Of assets that hold figures, ids and numbers of documents, and no text of one."""

# the classes of code references are in beta, and would warn at every start
warnings.filterwarnings("ignore", "Class `(LocalFileCodeReference|CodeReferencesMetadataValue)`", dg.BetaWarning)


def source_file(path: str) -> dict[str, Any]:
    """Return the metadata by which the UI names the file (`__file__`) that defines an asset."""
    # `dg.with_source_code_references` names contextlib.py for functions under `described_failures`
    reference = dg.LocalFileCodeReference(file_path=path)
    return {"dagster/code_references": dg.CodeReferencesMetadataValue(code_references=[reference])}
