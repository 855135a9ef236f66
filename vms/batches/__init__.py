"""Many machines at once, without a database: tables that people write, lists that they get."""
