"""The report of a range of days: its data, charts, tables and texts, as one HTML page."""
