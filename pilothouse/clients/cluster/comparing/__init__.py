"""What is live beside what Git wants: nothing here writes."""
