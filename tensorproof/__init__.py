"""Runs the pages of the book and builds its site: the page model, the session, results, claims, record.

Read the modules in this order: `page` (what a reader sees), `session` and `interpreter` (what runs),
`results` and `figures` (what is compared), `update`, `claims`, `record`, then the two front ends:
`collect` (pytest) and `site` (MkDocs).
"""
