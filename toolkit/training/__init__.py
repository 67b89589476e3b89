"""From clips and streams to a run: batches, the loop, bounding, baselines, the run's folder."""
