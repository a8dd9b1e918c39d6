"""What people and other jobs are told."""
