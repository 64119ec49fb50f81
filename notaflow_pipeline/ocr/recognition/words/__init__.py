"""Words of a page: their statistics, positions, order, language and numbers."""
