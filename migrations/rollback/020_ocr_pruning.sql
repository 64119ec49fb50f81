DROP TABLE IF EXISTS ocr_pruning;

DROP TABLE IF EXISTS ocr_attempts_pruned;
