"""Pages that belong to no app, or to all."""
