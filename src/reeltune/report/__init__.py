"""Listeners: what a run tells people and files. They receive events and cannot slow or stop it."""
