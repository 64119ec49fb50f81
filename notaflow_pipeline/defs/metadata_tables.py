"""Makes a table for the metadata of a run, a check or an observation."""

from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg


def metadata_table(rows: Iterable[Mapping[str, Any]], columns: Mapping[str, str]) -> dg.TableMetadataValue:
    """Return rows of texts and numbers as a table; `columns` are the names and types of its columns."""
    schema = dg.TableSchema([dg.TableColumn(name, kind) for name, kind in columns.items()])
    return dg.MetadataValue.table([dg.TableRecord(row) for row in rows], schema=schema)
