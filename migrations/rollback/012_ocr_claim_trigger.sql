SET LOCAL lock_timeout = '5s';

DROP TRIGGER IF EXISTS ocr_forget_claim ON extraction_queue;

DROP FUNCTION IF EXISTS ocr_forget_claim();
