"""What was trained, used: predictions for new examples, and how good they are on labelled ones."""
