"""What the operator reports: conditions, figures, events. Pure: no clock, no network."""
