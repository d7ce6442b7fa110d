"""The verbs: step, average, save, resume, render. Start with `loop.py`."""
