"""The service that flies, `edge-rgbt run`: start at `service.py`; what a user says is in `settings.py`."""
