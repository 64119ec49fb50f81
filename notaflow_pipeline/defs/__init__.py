"""The Dagster shell: assets, jobs, sensors, resources; one concept a file. The work itself stands in the rooms below."""
