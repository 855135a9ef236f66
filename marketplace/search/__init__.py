"""Full-text search behind one seam: SQLite's FTS5 or PostgreSQL's, whichever the site has."""
