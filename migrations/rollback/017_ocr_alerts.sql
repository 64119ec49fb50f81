DROP TABLE IF EXISTS ocr_exhausted_seen;

DROP TABLE IF EXISTS ocr_progress_watch;

DROP TABLE IF EXISTS ocr_alert_position;

DROP TABLE IF EXISTS ocr_alert_delivery;

DROP TABLE IF EXISTS ocr_alert_receiver;

DROP TABLE IF EXISTS ocr_alert_message;

DROP TABLE IF EXISTS ocr_alert_condition;
