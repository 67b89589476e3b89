"""The workshop: data, models, training, compression, evaluation and the command line."""
