"""Claims documents, renews and releases claims, and records their outcomes."""
