DROP TABLE IF EXISTS ocr_refusal;
