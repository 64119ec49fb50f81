SET lock_timeout = '5s';

ALTER TABLE ocr_attempt
    DROP COLUMN IF EXISTS pages_blank,
    DROP COLUMN IF EXISTS pages_text_layer,
    DROP COLUMN IF EXISTS pages_damaged,
    DROP COLUMN IF EXISTS pages_failed,
    DROP COLUMN IF EXISTS low_confidence_share,
    DROP COLUMN IF EXISTS passes;
