"""Which of several arms is better, and how sure that is: numbers alone, no file and no screen."""
