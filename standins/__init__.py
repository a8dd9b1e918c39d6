"""Servers that stand in for those that cannot run here, and what starts and uses them: for tests,
bench, the demo and the pictures."""
