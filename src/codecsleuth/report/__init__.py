"""The answer as a Rich table, JSON, JSON lines or CSV."""
