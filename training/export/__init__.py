"""From a checkpoint to a bundle: deployable network, ONNX graph, operator check, parity, manifest."""
