"""Reports, sheets and inspection pages: self-contained files about a trained model."""
