"""Recognition of one page: measuring, planning of passes, coverage, text layers."""
