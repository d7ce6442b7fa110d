"""What a run will do and take, put together from options, clips and arithmetic. No torch, no network, no weights."""
