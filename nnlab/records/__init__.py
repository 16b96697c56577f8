"""What is left of a run: its folder, its curves in TensorBoard, its lines on the screen."""
