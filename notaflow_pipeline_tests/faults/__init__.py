"""Tests of what lies between the project and its database: poolers, networks that break, clocks that are wrong."""
