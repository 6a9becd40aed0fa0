"""What training minimises: the task loss, and what each system adds to it."""
