"""What happens to a recording after a codec: channels, rooms, noise, RawBoost."""
