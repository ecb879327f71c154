"""What every engine that learns shares: one resumable loop, checkpoints without code, averages, logs, figures."""
