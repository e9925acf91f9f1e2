"""Models of `tsx` in other tools: sktime, MLflow, ONNX. Each module needs its tool."""
