"""What runs in the sandbox, beside the submission; it imports the library and nothing of the grader."""
