"""Asset checks: the queue and the daily tables."""
