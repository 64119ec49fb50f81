"""What the rows mean: claims, leases, outcomes, recovery, monitoring, migrations.

Plain Python and SQL; what does not belong here is anything that knows Dagster, storage or OCR.
"""
