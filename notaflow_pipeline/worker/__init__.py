"""The worker: takes documents from their claims to their recorded outcomes."""
