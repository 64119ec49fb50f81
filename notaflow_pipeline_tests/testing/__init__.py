"""What tests of every area share: waiting for conditions, ports, processes that may be gone, and seeded noise."""
