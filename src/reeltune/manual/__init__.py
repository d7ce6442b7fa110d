"""What people read about the options, made from their declarations: answers, pages, schema, compatibility."""
