"""Fine-tuning of W2V2-AASIST."""
