"""From files in Git to the exact objects that one environment gets."""
