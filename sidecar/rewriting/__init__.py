"""What happens to a page between the two ends: memos, skeletons, the child process, and what did harm.

Counterparts: `rules.html` rewrites, `sidecar.proxy` hands pages over. Never: a page lost; whatever fails here passes.
"""
