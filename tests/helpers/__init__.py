"""What tests share: makers of small real inputs, and fakes."""
