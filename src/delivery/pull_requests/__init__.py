"""Everything GitHub calls a pull request: proposals, comments, images, approvals."""
