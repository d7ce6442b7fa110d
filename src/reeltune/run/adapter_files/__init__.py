"""Files of weights as people name them: where they are, what their headers tell, and what they say of themselves."""
