"""One file per task: target, loss, metrics, baseline."""
