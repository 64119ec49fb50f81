"""Tests of what is alarming and of how somebody is told, with real receivers on loopback."""
