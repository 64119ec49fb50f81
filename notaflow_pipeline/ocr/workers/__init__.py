"""Worker processes: their pool, limits and sandbox, and the scheduling of pages over cores."""
