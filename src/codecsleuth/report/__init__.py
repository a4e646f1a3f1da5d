"""The answer as a Rich table, JSON or CSV."""
