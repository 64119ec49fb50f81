"""Tests of faults between the project and its database: poolers, broken networks, wrong clocks."""
