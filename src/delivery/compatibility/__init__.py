"""Who can talk to which version: two OpenAPI documents compared, and requests asked again. Pure: no files, no network."""
