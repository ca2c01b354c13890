"""How anything is shown: figures and Markdown."""
