"""Training: loss, step, loop, optimizer, checkpoints, logs."""
