"""From problems to what a model is shown: instructions, worked examples, chat templates."""
