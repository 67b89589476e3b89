"""What a person reads: what an artifact is, what variants cost and give."""
