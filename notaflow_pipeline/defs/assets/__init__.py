"""Assets: the queue, the texts, the daily tables and the report page."""
