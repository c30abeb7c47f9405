"""What `callfleet plan` asks for and reads before it plans."""
