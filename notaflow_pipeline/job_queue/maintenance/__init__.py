"""Maintenance of the queue: recovery, requeueing, rereading, and retention of the history."""
