"""What is decided from one question of an evaluation; pure, and decided again by the audit."""
