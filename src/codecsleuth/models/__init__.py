"""Networks only: a batch of waveforms in, a dictionary of logits per task out."""
