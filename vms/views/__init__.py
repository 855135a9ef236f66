"""The pages of machines: find what the user may see, call one action, pick a template."""
