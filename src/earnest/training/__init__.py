"""Batches, the loop, schedules, losses, checkpoints."""
