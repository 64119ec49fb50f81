"""The queue in PostgreSQL: claims, leases, outcomes, recovery, queries and migrations.

SQL writes statuses, outcomes and sources as literals: the planner uses a partial index only if the statement has the
literal, and one spelling in all statements can be searched for. `model` has the enums with their meaning, for Python.
"""
