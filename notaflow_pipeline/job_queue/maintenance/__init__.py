"""What brings documents back into the queue, and what removes old histories."""
