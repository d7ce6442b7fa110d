"""Commands for people. Nothing heavy is imported before a command needs it."""
