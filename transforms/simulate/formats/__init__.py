"""One writer per source format: the true history in, the bytes that an operator would have out."""
