DROP TABLE IF EXISTS ocr_pruning;
