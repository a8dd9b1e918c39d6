"""What a run reports: the log, and the outputs for later jobs."""
