"""Everything that people read: figures, Markdown and the page of a report."""
