"""The forms about people, a module for each part."""
