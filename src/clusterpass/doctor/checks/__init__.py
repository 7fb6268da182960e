"""What is judged of a deployment; each module looks at one subject."""
