"""A trained sequence model becomes a step model, and that an artifact, checked."""
