"""What a file of weights is and does: `inspect`."""
