"""Attempts in, daily tables and charts out.

What does not belong here: which figures are alarming (`alerting`), and what the queue is doing now (`job_queue.queries`).
"""
