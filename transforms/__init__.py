"""What the data means: pure functions from bytes and frames to frames, no clock and no disk."""
