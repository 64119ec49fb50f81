"""Tests of thresholds and of the delivery of alerts, with real receivers on loopback."""
