-- depends: 015_ocr_worker_instance
-- Adds measures of quality beside the mean confidence: pages by result, and the share of uncertain words.

SET LOCAL lock_timeout = '5s';

ALTER TABLE ocr_attempt
    ADD COLUMN IF NOT EXISTS pages_blank INTEGER DEFAULT NULL,
    ADD COLUMN IF NOT EXISTS pages_text_layer INTEGER DEFAULT NULL,
    ADD COLUMN IF NOT EXISTS pages_damaged INTEGER DEFAULT NULL,
    ADD COLUMN IF NOT EXISTS pages_failed INTEGER DEFAULT NULL,
    ADD COLUMN IF NOT EXISTS low_confidence_share REAL DEFAULT NULL,
    ADD COLUMN IF NOT EXISTS passes INTEGER DEFAULT NULL;

COMMENT ON COLUMN ocr_attempt.pages_blank IS 'Pages on which nothing stands';
COMMENT ON COLUMN ocr_attempt.pages_text_layer IS 'Pages whose text was taken from the PDF and not recognised';
COMMENT ON COLUMN ocr_attempt.pages_damaged IS 'Pages of which only a part could be read; marked in the text';
COMMENT ON COLUMN ocr_attempt.pages_failed IS 'Pages that could not be read; marked in the text';
COMMENT ON COLUMN ocr_attempt.low_confidence_share IS '0 to 1: recognised words with a confidence below 60; NULL without words';
COMMENT ON COLUMN ocr_attempt.passes IS 'Recognitions that all pages took together';
