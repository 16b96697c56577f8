"""The formats of exported models, and what their files are called. It imports no torch."""

FORMAT_OF_ENDING = {".onnx": "onnx", ".pt2": "torch"}
FILE_NAMES = {format: f"model{ending}" for ending, format in FORMAT_OF_ENDING.items()}
