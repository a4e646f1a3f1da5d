"""Recordings: finding, decoding, measuring, cutting into windows."""
