"""Models that framestep trains: input x encoder x cell x head."""
