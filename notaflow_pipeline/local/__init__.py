"""Commands for one machine: the development server, the embedded PostgreSQL, ingestion of files, and the self-check."""
