"""Claimed documents in, recorded outcomes out."""
