"""Finding entries: what is asked, the words of the index, facets, and corrected spelling.

``index`` is the seam between the two databases: nothing else knows which of them answers.
"""
