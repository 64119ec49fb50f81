"""Words of a page: their statistics, places, order, language and numbers."""
