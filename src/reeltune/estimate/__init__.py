"""What a run costs in operations, seconds, memory and disk, by arithmetic alone."""
