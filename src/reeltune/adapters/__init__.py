"""What is trained, and the files that carry it elsewhere."""
