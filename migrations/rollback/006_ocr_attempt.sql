DROP TABLE IF EXISTS ocr_attempt;
