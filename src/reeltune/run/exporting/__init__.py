"""An adapter in another form: `export`. Each form is proven to do what the adapter does."""
