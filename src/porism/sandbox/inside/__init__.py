"""What runs within the sandbox. It uses the standard library alone: nothing else of Porism is there."""
