"""What an agent may be shown, may call and may decide: pure functions, without a model."""
