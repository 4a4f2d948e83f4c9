"""Training: crops, the loss, the training loop, and the prediction for a whole image."""
