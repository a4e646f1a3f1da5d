"""CodecFake+: its lists, layouts and download."""
