"""Files with disks in them, from strangers: what they are, what is in them, and a child to
convert them. A library: no Django, no settings, no engine.
"""
