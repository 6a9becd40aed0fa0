"""The networks as PyTorch modules: the ViT branch, token elimination, the centre head, CKD."""
