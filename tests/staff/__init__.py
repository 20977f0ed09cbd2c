"""What staff see and may do."""
